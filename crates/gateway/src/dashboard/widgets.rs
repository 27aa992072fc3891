//! The small parts that all pages share. Every text in them is escaped by `maud`, and no part of a page is
//! written as HTML in a string.

use maud::{Markup, html};
use s3up_core::wire::ClientState;
use s3up_core::{Severity, Size};

use super::chart::{Segment, Spark};
use super::text::{clipped, count, duration, exact, parse_time, relative, shown};
use crate::clock::{Millis, time_text};

const SPARK: Spark = Spark { height: 18, bar: 4, gap: 2 };
/// Maximum number of characters of a foreign text in a table.
pub(super) const CELL_CHARS: usize = 240;

/// A column, with true if it is aligned to the right.
pub(super) type Column = (&'static str, bool);

/// Returns the head of a table.
pub(super) fn header(columns: &[Column]) -> Markup {
    html! {
        thead role="rowgroup" { tr role="row" {
            @for (column, is_right) in columns {
                th.right[*is_right] role="columnheader" scope="col" { (column) }
            }
        } }
    }
}

/// Returns a time relative to now, with the exact one for the pointer and for programs.
pub(super) fn time(at: Millis, now: Millis) -> Markup {
    html! { time datetime=(time_text(at)) title=(exact(at)) { (relative(at, now)) } }
}

/// Returns a time that may not be known.
pub(super) fn known_time(at: Option<Millis>, now: Millis) -> Markup {
    at.map_or_else(not_known, |at| time(at, now))
}

/// Returns the time of a text in RFC 3339. One that cannot be read is not known.
pub(super) fn time_of(text: Option<&str>, now: Millis) -> Markup {
    known_time(text.and_then(parse_time), now)
}

/// Returns for how long something has been so, since the time of a text in RFC 3339.
pub(super) fn lasting(since: &str, now: Millis) -> Markup {
    let Some(at) = parse_time(since).map(|at| at.min(now)) else { return not_known() };
    html! { time datetime=(time_text(at)) title={ "since " (exact(at)) } { (duration(at, now)) } }
}

/// Stands for a fact that is not known, which is never shown as 0.
pub(super) fn not_known() -> Markup {
    html! { span.unknown { "not known" } }
}

/// Stands for something that does not apply.
pub(super) fn none(why: &str) -> Markup {
    html! { span.none title=(why) { "–" span.hidden { " (" (why) ")" } } }
}

/// Returns a number of bytes, with the exact one for the pointer.
pub(super) fn bytes(bytes: u64) -> Markup {
    html! { span.number title={ (count(bytes)) " bytes" } { (Size(bytes)) } }
}

/// Returns a foreign name, which cannot change the direction of the text around it.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi { (shown(text)) } }
}

/// Returns a foreign text, clipped for a table.
pub(super) fn note(text: &str) -> Markup {
    html! { bdi { (clipped(text, CELL_CHARS)) } }
}

/// Returns the state of a client: a shape, a word and a colour.
pub(super) fn state(state: ClientState) -> Markup {
    let shape = match state {
        ClientState::Ok => {
            html! { circle cx="8" cy="8" r="7" {} path.mark d="M4.5 8.2l2.4 2.4 4.6-5" {} }
        }
        ClientState::Degraded => {
            html! { path d="M8 1l7.4 13.5H.6z" {} path.mark d="M8 6v4M8 12v.6" {} }
        }
        ClientState::Never => html! { circle.ring cx="8" cy="8" r="6" {} },
        ClientState::Late => {
            html! { path d="M8 .6L15.4 8 8 15.4.6 8z" {} path.mark d="M8 4.5V8l2.2 1.6" {} }
        }
        ClientState::Failing => {
            html! { rect x="1" y="1" width="14" height="14" rx="2" {} path.mark d="M5 5l6 6M11 5l-6 6" {} }
        }
        ClientState::Silent => {
            html! { path d="M5 .8h6L15.2 5v6L11 15.2H5L.8 11V5z" {} path.mark d="M4 8h8" {} }
        }
    };
    badge(state.as_str(), shape)
}

/// Returns a word with its shape. The colour comes from the word.
fn badge(word: &'static str, shape: Markup) -> Markup {
    html! {
        span class={ "state state-" (word) } {
            svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" { (shape) }
            (word)
        }
    }
}

/// Returns the weight of a finding: a shape and a word.
pub(super) fn severity(weight: Severity) -> Markup {
    let (shape, class) = match weight {
        Severity::Ok => ("✓ ", "verdict good"),
        Severity::Note => ("i ", "verdict"),
        Severity::Warning => ("! ", "verdict warning"),
        Severity::Problem => ("✗ ", "verdict bad"),
    };
    html! { span class=(class) { span aria-hidden="true" { (shape) } (weight.as_str()) } }
}

/// Returns the markup of a check, good or bad: a shape and a word.
pub(super) fn verdict(is_good: bool, word: &str) -> Markup {
    html! {
        span class=(if is_good { "verdict good" } else { "verdict bad" }) {
            span aria-hidden="true" { (if is_good { "✓ " } else { "✗ " }) }
            (word)
        }
    }
}

/// Returns a bar of which a part is filled.
pub(super) fn bar(part: u64, whole: u64) -> Markup {
    let [filled, _] = super::chart::segments([part, whole.saturating_sub(part)]);
    stacked(&[("part-protected", filled)])
}

/// Returns a bar of several parts, each with a class for its colour.
pub(super) fn stacked(parts: &[(&str, Segment)]) -> Markup {
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track width="1000" height="10" {}
            @for (class, Segment { start, width }) in parts {
                @if *width > 0 { rect class=(class) x=(start) width=(width) height="10" {} }
            }
        }
    }
}

/// Returns bars for the last days, with their numbers as text for those who do not see them.
pub(super) fn sparkline(
    label: &str,
    values: &[Option<u64>],
    text: impl Fn(u64) -> String,
) -> Markup {
    let texts: Vec<_> =
        values.iter().map(|value| value.map_or_else(|| "not known".to_owned(), &text)).collect();
    let (width, height) = (SPARK.width(values.len()), SPARK.height);
    html! {
        svg.spark role="img" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) {
            title { (label) ", oldest first: " (texts.join(", ")) }
            path d=(SPARK.path(values)) {}
        }
    }
}

/// Returns a command with a button that copies it. Without a script there is no button.
pub(super) fn command(text: &str) -> Markup {
    html! {
        span.command {
            code { (shown(text)) }
            button.copy type="button" hidden data-copy=(text) { "Copy" span.hidden { " " (clipped(text, 60)) } }
        }
    }
}
