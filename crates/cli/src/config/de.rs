//! A tree to a value: serde's view of a [`Node`].
//!
//! Every error leaves with the line and the key of the innermost node that it
//! was raised in. A struct tells the names of its fields, so a key that is none
//! of them is refused here.

mod words;

use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::Wrong;
use super::plain;
use super::tree::{Entry, Kind, Node, Place, Scalar, Value};

pub(super) fn value<T: DeserializeOwned>(root: &Node) -> Result<T, Wrong> {
    seeded(PhantomData, root, &Place::Root)
}

/// An error that comes out of a node without a place was raised by that node's
/// own type.
fn seeded<'de, 'a, S: DeserializeSeed<'de>>(
    seed: S,
    node: &'a Node,
    place: &'a Place<'a>,
) -> Result<S::Value, Wrong> {
    seed.deserialize(De { node, place }).map_err(|wrong| wrong.at(node.line, place))
}

#[derive(Clone, Copy)]
struct De<'a> {
    node: &'a Node,
    place: &'a Place<'a>,
}

impl<'a> De<'a> {
    fn wrong(self, what: impl std::fmt::Display) -> Wrong {
        Wrong::key(self.node.line, self.place.to_string(), what)
    }

    /// Of a scalar that should be another: its value helps to see why. Of
    /// anything else it does not, and may be a secret in the wrong place.
    fn not_a_scalar(self, expected: &str) -> Wrong {
        self.wrong(format_args!("expected {expected}, found {}", words::found(self.node)))
    }

    fn not_a_collection(self, expected: &str) -> Wrong {
        self.wrong(format_args!("expected {expected}, found {}", self.node.noun()))
    }

    fn as_scalar(self) -> Option<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    fn is_null(self) -> bool {
        self.as_scalar().is_some_and(|scalar| scalar.kind == Kind::Null)
    }

    fn text(self, expected: &str) -> Result<&'a str, Wrong> {
        let Some(scalar) = self.as_scalar() else { return Err(self.not_a_scalar(expected)) };
        match scalar.kind {
            Kind::Text | Kind::Expanded => Ok(&scalar.text),
            Kind::Null => Err(self.not_a_scalar(expected)),
            Kind::Bool | Kind::Integer | Kind::Float | Kind::Date => {
                Err(self.not_a_scalar(expected).with_hint(" (put it in quotes)"))
            }
        }
    }

    /// The integer, where it lies in `min..=max`, the range of its type.
    fn integer(self, min: i128, max: i128) -> Result<i128, Wrong> {
        let wrong = || self.not_a_scalar("an integer");
        let scalar = self.as_scalar().ok_or_else(wrong)?;
        if !matches!(scalar.kind, Kind::Integer | Kind::Expanded) {
            return Err(wrong());
        }
        match plain::integer(&scalar.text) {
            Some(number) if (min..=max).contains(&number) => Ok(number),
            None if scalar.kind == Kind::Expanded => Err(wrong()),
            Some(_) | None => Err(self.not_a_scalar(&format!("an integer from {min} to {max}"))),
        }
    }

    fn entries(self) -> Result<&'a [Entry], Wrong> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            // `s3:` with every key below it commented out.
            Value::Scalar(Scalar { kind: Kind::Null, .. }) => Ok(&[]),
            Value::Scalar(_) | Value::Sequence(_) => Err(self.not_a_collection("a mapping")),
        }
    }

    fn items(self) -> Result<&'a [Node], Wrong> {
        match &self.node.value {
            Value::Sequence(items) => Ok(items),
            Value::Scalar(_) | Value::Mapping(_) => Err(self.not_a_collection("a list")),
        }
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        entries: &'a [Entry],
    ) -> Result<V::Value, Wrong> {
        visitor.visit_map(Entries { rest: entries, value: None, place: self.place })
    }

    fn visit_scalar<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        scalar: &Scalar,
    ) -> Result<V::Value, Wrong> {
        let text = scalar.text.as_str();
        match scalar.kind {
            Kind::Null => visitor.visit_unit(),
            Kind::Bool => visitor.visit_bool(text == "true"),
            Kind::Integer => match plain::integer(text) {
                Some(number) => visit_integer(visitor, number),
                None => Err(self.not_a_scalar("a smaller integer")),
            },
            Kind::Float => visitor.visit_f64(float(text).unwrap_or(f64::NAN)),
            Kind::Date | Kind::Text | Kind::Expanded => visitor.visit_str(text),
        }
    }
}

/// The smallest of serde's integers that holds `number`: few visitors take the
/// widest.
fn visit_integer<'de, V: Visitor<'de>>(visitor: V, number: i128) -> Result<V::Value, Wrong> {
    if let Ok(number) = u64::try_from(number) {
        return visitor.visit_u64(number);
    }
    match i64::try_from(number) {
        Ok(number) => visitor.visit_i64(number),
        Err(_) => visitor.visit_i128(number),
    }
}

/// Both spellings of infinity: TOML has no dot before it.
fn float(text: &str) -> Option<f64> {
    plain::float(text).or_else(|| text.parse().ok())
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            let number = self.integer(<$type>::MIN as i128, <$type>::MAX as i128)?;
            visitor.$visit(number as $type)
        }
    )*};
}

impl<'de> Deserializer<'de> for De<'_> {
    type Error = Wrong;

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Scalar(scalar) => self.visit_scalar(visitor, scalar),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let is = self.as_scalar().and_then(|scalar| match scalar.kind {
            Kind::Bool | Kind::Expanded => plain::boolean(&scalar.text),
            Kind::Null | Kind::Integer | Kind::Float | Kind::Date | Kind::Text => None,
        });
        let is = is.ok_or_else(|| self.not_a_scalar("true or false"))?;
        visitor.visit_bool(is)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let number = self.as_scalar().and_then(|scalar| match scalar.kind {
            Kind::Integer | Kind::Float | Kind::Expanded => float(&scalar.text),
            Kind::Null | Kind::Bool | Kind::Date | Kind::Text => None,
        });
        let number = number.ok_or_else(|| self.not_a_scalar("a number"))?;
        visitor.visit_f64(number)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let text = self.text("a string")?;
        visitor.visit_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if !self.is_null() {
            return Err(self.not_a_scalar("nothing"));
        }
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let items = Items { items: self.items()?, next: 0, place: self.place };
        visitor.visit_seq(items)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Wrong> {
        let found = self.items()?.len();
        if found != len {
            return Err(self.wrong(format_args!("expected a list of {len}, found {found}")));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.visit_entries(visitor, self.entries()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let entries = self.entries()?;
        if let Some(unknown) = entries.iter().find(|entry| !fields.contains(&&*entry.key)) {
            let place = Place::Key(self.place, &unknown.key);
            let what = words::unknown_key(&unknown.key, fields);
            return Err(Wrong::key(unknown.line, place.to_string(), what));
        }
        self.visit_entries(visitor, entries)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let expected = words::one_of(variants);
        let text = self.text(&expected)?;
        if !variants.contains(&text) {
            return Err(self.not_a_scalar(&expected));
        }
        let variant: StrDeserializer<'_, Wrong> = text.into_deserializer();
        visitor.visit_enum(variant)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit_struct tuple_struct identifier }
}

struct Items<'a> {
    items: &'a [Node],
    next: usize,
    place: &'a Place<'a>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Wrong> {
        let Some(node) = self.items.get(self.next) else { return Ok(None) };
        let place = Place::Item(self.place, self.next);
        self.next += 1;
        seeded(seed, node, &place).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct Entries<'a> {
    rest: &'a [Entry],
    /// The entry whose key was read and whose value comes next.
    value: Option<&'a Entry>,
    place: &'a Place<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Wrong> {
        let Some((entry, rest)) = self.rest.split_first() else { return Ok(None) };
        (self.rest, self.value) = (rest, Some(entry));
        let key: StrDeserializer<'_, Wrong> = entry.key.as_str().into_deserializer();
        let place = Place::Key(self.place, &entry.key);
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.at(entry.line, &place))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let entry = self.value.take().expect("serde reads a key before its value");
        let place = Place::Key(self.place, &entry.key);
        seeded(seed, &entry.node, &place)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
