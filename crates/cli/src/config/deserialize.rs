//! Deserializes a tree: the serde deserializer of a [`Node`].
//!
//! Every error gets the line and the key of the innermost node in which it was
//! raised. serde passes the field names of a struct, so unknown keys are refused
//! here for all structs, without an attribute on each of them.

mod phrases;

use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::Invalid;
use super::plain_scalar;
use super::tree::{Entry, KeyPath, Node, NodeKind, Scalar, Value};

pub(super) fn deserialize<T: DeserializeOwned>(root: &Node) -> Result<T, Invalid> {
    deserialize_node(PhantomData, root, &KeyPath::Root)
}

/// Deserializes `node` into the type of `seed`. An error without a location was
/// raised by the type itself, so it gets the location of the node.
fn deserialize_node<'de, 'a, S: DeserializeSeed<'de>>(
    seed: S,
    node: &'a Node,
    path: &'a KeyPath<'a>,
) -> Result<S::Value, Invalid> {
    seed.deserialize(NodeDeserializer { node, path }).map_err(|invalid| invalid.at(node.line, path))
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'a> {
    node: &'a Node,
    path: &'a KeyPath<'a>,
}

impl<'a> NodeDeserializer<'a> {
    fn invalid(self, reason: impl std::fmt::Display) -> Invalid {
        Invalid::key(self.node.line, self.path.to_string(), reason)
    }

    /// Returns an error that shows the value of a scalar.
    fn unexpected_value(self, expected: &str) -> Invalid {
        self.invalid(format_args!("expected {expected}, found {}", phrases::found(self.node)))
    }

    /// Returns an error that shows only the kind of the node: the value may be a
    /// secret under the wrong key.
    fn unexpected_kind(self, expected: &str) -> Invalid {
        self.invalid(format_args!("expected {expected}, found {}", self.node.kind_name()))
    }

    fn scalar(self) -> Option<&'a Scalar> {
        match &self.node.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    fn is_null(self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.kind == NodeKind::Null)
    }

    fn text(self, expected: &str) -> Result<&'a str, Invalid> {
        let Some(scalar) = self.scalar() else { return Err(self.unexpected_value(expected)) };
        match scalar.kind {
            NodeKind::Text | NodeKind::Expanded => Ok(&scalar.text),
            NodeKind::Null => Err(self.unexpected_value(expected)),
            NodeKind::Bool | NodeKind::Integer | NodeKind::Float | NodeKind::Date => {
                Err(self.unexpected_value(expected).with_hint(" (put it in quotes)"))
            }
        }
    }

    /// Returns the integer if it is within `min..=max`, the range of its type.
    fn integer(self, min: i128, max: i128) -> Result<i128, Invalid> {
        let not_an_integer = || self.unexpected_value("an integer");
        let scalar = self.scalar().ok_or_else(not_an_integer)?;
        if !matches!(scalar.kind, NodeKind::Integer | NodeKind::Expanded) {
            return Err(not_an_integer());
        }
        match plain_scalar::integer(&scalar.text) {
            Some(number) if (min..=max).contains(&number) => Ok(number),
            None if scalar.kind == NodeKind::Expanded => Err(not_an_integer()),
            Some(_) | None => {
                Err(self.unexpected_value(&format!("an integer from {min} to {max}")))
            }
        }
    }

    fn entries(self) -> Result<&'a [Entry], Invalid> {
        match &self.node.value {
            Value::Mapping(entries) => Ok(entries),
            // A section such as `s3:` whose keys are all commented out.
            Value::Scalar(Scalar { kind: NodeKind::Null, .. }) => Ok(&[]),
            Value::Scalar(_) | Value::Sequence(_) => Err(self.unexpected_kind("a mapping")),
        }
    }

    fn items(self) -> Result<&'a [Node], Invalid> {
        match &self.node.value {
            Value::Sequence(items) => Ok(items),
            Value::Scalar(_) | Value::Mapping(_) => Err(self.unexpected_kind("a list")),
        }
    }

    fn visit_entries<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        entries: &'a [Entry],
    ) -> Result<V::Value, Invalid> {
        visitor.visit_map(MappingEntries { rest: entries, value: None, path: self.path })
    }

    fn visit_scalar<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        scalar: &Scalar,
    ) -> Result<V::Value, Invalid> {
        let text = scalar.text.as_str();
        match scalar.kind {
            NodeKind::Null => visitor.visit_unit(),
            NodeKind::Bool => visitor.visit_bool(text == "true"),
            NodeKind::Integer => match plain_scalar::integer(text) {
                Some(number) => visit_integer(visitor, number),
                None => Err(self.unexpected_value("a smaller integer")),
            },
            NodeKind::Float => visitor.visit_f64(float(text).unwrap_or(f64::NAN)),
            NodeKind::Date | NodeKind::Text | NodeKind::Expanded => visitor.visit_str(text),
        }
    }
}

/// Passes `number` to the visitor as the smallest integer type that can hold it,
/// because few visitors accept the widest.
fn visit_integer<'de, V: Visitor<'de>>(visitor: V, number: i128) -> Result<V::Value, Invalid> {
    if let Ok(number) = u64::try_from(number) {
        return visitor.visit_u64(number);
    }
    match i64::try_from(number) {
        Ok(number) => visitor.visit_i64(number),
        Err(_) => visitor.visit_i128(number),
    }
}

/// Parses a float. TOML writes infinity without the dot of YAML.
fn float(text: &str) -> Option<f64> {
    plain_scalar::float(text).or_else(|| text.parse().ok())
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
            let number = self.integer(<$type>::MIN as i128, <$type>::MAX as i128)?;
            visitor.$visit(number as $type)
        }
    )*};
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Invalid;

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        match &self.node.value {
            Value::Scalar(scalar) => self.visit_scalar(visitor, scalar),
            Value::Sequence(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let value = self.scalar().and_then(|scalar| match scalar.kind {
            NodeKind::Bool | NodeKind::Expanded => plain_scalar::boolean(&scalar.text),
            NodeKind::Null
            | NodeKind::Integer
            | NodeKind::Float
            | NodeKind::Date
            | NodeKind::Text => None,
        });
        let value = value.ok_or_else(|| self.unexpected_value("true or false"))?;
        visitor.visit_bool(value)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let number = self.scalar().and_then(|scalar| match scalar.kind {
            NodeKind::Integer | NodeKind::Float | NodeKind::Expanded => float(&scalar.text),
            NodeKind::Null | NodeKind::Bool | NodeKind::Date | NodeKind::Text => None,
        });
        let number = number.ok_or_else(|| self.unexpected_value("a number"))?;
        visitor.visit_f64(number)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let text = self.text("a string")?;
        visitor.visit_str(text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        if !self.is_null() {
            return Err(self.unexpected_value("nothing"));
        }
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let items = SequenceItems { items: self.items()?, next: 0, path: self.path };
        visitor.visit_seq(items)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let found = self.items()?.len();
        if found != len {
            return Err(self.invalid(format_args!("expected a list of {len}, found {found}")));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        self.visit_entries(visitor, self.entries()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let entries = self.entries()?;
        if let Some(unknown) = entries.iter().find(|entry| !fields.contains(&&*entry.key)) {
            let path = KeyPath::Key(self.path, &unknown.key);
            let reason = phrases::unknown_key(&unknown.key, fields);
            return Err(Invalid::key(unknown.line, path.to_string(), reason));
        }
        self.visit_entries(visitor, entries)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let expected = phrases::one_of(variants);
        let text = self.text(&expected)?;
        if !variants.contains(&text) {
            return Err(self.unexpected_value(&expected));
        }
        let variant: StrDeserializer<'_, Invalid> = text.into_deserializer();
        visitor.visit_enum(variant)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit_struct tuple_struct identifier }
}

struct SequenceItems<'a> {
    items: &'a [Node],
    next: usize,
    path: &'a KeyPath<'a>,
}

impl<'de> SeqAccess<'de> for SequenceItems<'_> {
    type Error = Invalid;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Invalid> {
        let Some(node) = self.items.get(self.next) else { return Ok(None) };
        let path = KeyPath::Item(self.path, self.next);
        self.next += 1;
        deserialize_node(seed, node, &path).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

struct MappingEntries<'a> {
    rest: &'a [Entry],
    /// The entry whose key was read last and whose value comes next.
    value: Option<&'a Entry>,
    path: &'a KeyPath<'a>,
}

impl<'de> MapAccess<'de> for MappingEntries<'_> {
    type Error = Invalid;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Invalid> {
        let Some((entry, rest)) = self.rest.split_first() else { return Ok(None) };
        (self.rest, self.value) = (rest, Some(entry));
        let key: StrDeserializer<'_, Invalid> = entry.key.as_str().into_deserializer();
        let path = KeyPath::Key(self.path, &entry.key);
        seed.deserialize(key).map(Some).map_err(|invalid| invalid.at(entry.line, &path))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Invalid> {
        let entry = self.value.take().expect("serde reads a key before its value");
        let path = KeyPath::Key(self.path, &entry.key);
        deserialize_node(seed, &entry.node, &path)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
