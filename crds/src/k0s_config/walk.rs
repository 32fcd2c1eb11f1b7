//! Goes through a configuration along the fields that k0s knows, and no deeper.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Reader;
use super::kind::{Field, Kind, Text};
use super::text;
use crate::validation::{Errors, FieldError};

/// More than anybody reads, and less than a hostile configuration could cause.
pub(super) const MOST: usize = 50;

/// What has been found, and where in the configuration that is.
pub(super) struct Walk<'a> {
    pub(super) reader: &'a Reader,
    pub(super) path: String,
    pub(super) errors: Errors,
    pub(super) warnings: Errors,
    /// Whether k0s looks at values here, or at their types alone.
    counts: bool,
    /// Whether k0s goes on over a field that it does not know.
    lenient: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(reader: &'a Reader, path: &str) -> Self {
        Self {
            reader,
            path: path.to_owned(),
            errors: Errors::default(),
            warnings: Errors::default(),
            counts: true,
            lenient: false,
        }
    }

    /// The same, where what is not known is left out.
    pub(super) fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The same, where k0s looks at types alone.
    pub(super) fn of_types(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Nobody reads more. What is only warned of ends nothing: it must not hide what is wrong.
    fn is_full(&self) -> bool {
        self.errors.0.len() >= MOST
    }

    fn may_warn(&self) -> bool {
        self.warnings.0.len() < MOST
    }

    /// Does something with the path of a part, which begins with a dot or a bracket.
    fn at(&mut self, part: std::fmt::Arguments<'_>, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        // A String takes everything.
        let _ = self.path.write_fmt(part);
        then(self);
        self.path.truncate(length);
    }

    /// `whole` is the object once more.
    pub(super) fn object(&mut self, fields: &[Field], object: &Map<String, Value>, whole: &Value) {
        for (key, value) in object {
            if self.is_full() {
                return;
            }
            let known = find(fields, key);
            match known.filter(|field| self.reader.has(field)) {
                Some(field) => self.known(field, key, value, whole),
                None => self.at(format_args!(".{key}"), |walk| {
                    walk.unknown(fields, known, key);
                }),
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            let missing = match text::get(whole, &[field.name]) {
                None => true,
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(items)) => items.is_empty(),
                Some(_) => false,
            };
            if missing && self.counts && (field.counts)(whole, self.reader.minor()) {
                self.errors
                    .required(format!("{}.{}", self.path, field.name), "");
            }
        }
    }

    fn known(&mut self, field: &Field, key: &str, value: &Value, whole: &Value) {
        self.at(format_args!(".{}", field.name), |walk| {
            if key != field.name && walk.may_warn() {
                walk.warnings.warning(
                    format!("{}.{key}", walk.path.rsplit_once('.').unwrap_or_default().0),
                    "",
                    format!("is read as {}", field.name),
                );
            }
            let before = (walk.counts, walk.lenient);
            walk.counts &= (field.counts)(whole, walk.reader.minor());
            walk.lenient |= field.lenient;
            walk.value(&field.kind, value, field.required);
            (walk.counts, walk.lenient) = before;
        });
    }

    fn unknown(&mut self, fields: &[Field], known: Option<&Field>, key: &str) {
        let is_warned_of = self.lenient || !self.reader.is_known();
        if is_warned_of && !self.may_warn() {
            return;
        }
        let k0s = self.reader.name();
        let message = if known.is_some() {
            format!("{k0s} does not know the field: a newer one does")
        } else {
            format!("{k0s} does not know the field")
        };
        let hint = if known.is_some() {
            None
        } else {
            near(fields, key).map(|near| format!("did you mean {near}?"))
        };
        let hint = hint.unwrap_or_default();
        if self.lenient {
            self.warnings
                .warning(&self.path, "", format!("{message}, and goes on without it"))
                .hint(hint);
        } else if self.reader.is_known() {
            self.errors
                .forbidden(&self.path, format!("{message}, and ends"))
                .hint(hint);
        } else {
            self.warnings
                .warning(
                    &self.path,
                    "",
                    "is not a field of the releases that are known, and k0s ends over one that it does not know",
                )
                .hint(hint);
        }
    }

    /// Nearly everywhere a null is a value that is left out.
    fn value(&mut self, kind: &Kind, value: &Value, required: bool) {
        match (kind, value) {
            (Kind::Duration, Value::Null) => self.mistyped(kind, value),
            (_, Value::Null) | (Kind::Any, _) | (Kind::Bool, Value::Bool(_)) => {}
            (Kind::Object(fields), Value::Object(object)) => self.object(fields, object, value),
            (Kind::Map(kind), Value::Object(object)) => {
                for (key, value) in object {
                    if self.is_full() {
                        return;
                    }
                    self.at(format_args!("[{key}]"), |walk| {
                        walk.value(kind, value, false);
                    });
                }
            }
            (Kind::List(kind), Value::Array(items)) => self.items(kind, items),
            (Kind::Text(form), Value::String(text)) => {
                if !(required && text.is_empty()) {
                    self.text(*form, text);
                }
            }
            (
                Kind::Duration | Kind::DurationOrNull | Kind::DurationOrNumber,
                Value::String(text),
            ) => {
                if !text::is_duration(text) {
                    self.errors.invalid(
                        &self.path,
                        shown(text),
                        crate::validation::texts::DURATION,
                    );
                }
            }
            (Kind::Integer(least, most), Value::Number(number)) => {
                self.integer(number, *least, *most);
            }
            (Kind::DurationOrNumber, Value::Number(number)) => {
                self.integer(number, i64::MIN, i64::MAX);
            }
            (Kind::Fraction, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or_default();
                if self.counts && (number <= 0.0 || number > 1.0) {
                    self.errors.invalid(
                        &self.path,
                        number,
                        "must be greater than 0 and no more than 1",
                    );
                }
            }
            _ => self.mistyped(kind, value),
        }
    }

    /// An item that is null is one with nothing in it.
    fn items(&mut self, kind: &Kind, items: &[Value]) {
        let empty = match kind {
            Kind::Object(_) => Some(Value::Object(Map::new())),
            Kind::Text(_) => Some(Value::String(String::new())),
            _ => None,
        };
        for (index, item) in items.iter().enumerate() {
            if self.is_full() {
                return;
            }
            let item = match (item, &empty) {
                (Value::Null, Some(empty)) => empty,
                (item, _) => item,
            };
            self.at(format_args!("[{index}]"), |walk| {
                walk.value(kind, item, false);
            });
        }
    }

    fn text(&mut self, form: Text, text: &str) {
        if !self.counts {
            return;
        }
        match form {
            Text::OneOf(all) if !all.contains(&text) => {
                let all = all.iter().filter(|one| !one.is_empty());
                self.enumerated(FieldError::not_supported(&self.path, shown(text), all));
            }
            Text::Like(is_like, message) if !is_like(text) => {
                self.errors.invalid(&self.path, shown(text), message);
            }
            Text::Secret(is_like, message) if !is_like(text) => {
                self.errors.invalid(&self.path, "", message);
            }
            _ => {}
        }
    }

    /// A newer k0s may have more of its kind.
    pub(super) fn enumerated(&mut self, error: FieldError) {
        if self.reader.is_known() {
            self.errors.add(error);
        } else if self.may_warn() {
            self.warnings.add(error.into_warning());
        }
    }

    fn integer(&mut self, number: &serde_json::Number, least: i64, most: i64) {
        // `5.0` is written as 5.
        let whole = number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            format!("{number:.0}").parse().ok()
        });
        match whole {
            None => {
                self.errors
                    .invalid(&self.path, number, "must be a whole number of 64 bits");
            }
            Some(whole) if self.counts && !(least..=most).contains(&whole) => {
                let message = format!("must be between {least} and {most}, inclusive");
                self.errors.invalid(&self.path, whole, message);
            }
            Some(_) => {}
        }
    }

    /// The value may be a secret, and may be long: its type says enough.
    fn mistyped(&mut self, kind: &Kind, value: &Value) {
        let (wanted, hint) = match kind {
            Kind::Any => return,
            Kind::Bool => ("must be true or false", ""),
            Kind::Integer(..) => ("must be a whole number", ""),
            Kind::Fraction => ("must be a number", ""),
            Kind::Text(_) => (
                "must be a text",
                if value.is_boolean() || value.is_number() {
                    "write it as a text, in quotes"
                } else {
                    ""
                },
            ),
            Kind::Duration | Kind::DurationOrNull | Kind::DurationOrNumber => {
                (crate::validation::texts::DURATION, "")
            }
            Kind::Map(_) | Kind::Object(_) => ("must be an object", ""),
            Kind::List(Kind::Text(_)) => ("must be a list of texts", ""),
            Kind::List(_) => ("must be a list", ""),
        };
        self.errors
            .invalid(&self.path, type_of(value), wanted)
            .hint(hint);
    }
}

/// k0s takes no notice of capitals.
pub(super) fn find<'a>(fields: &'a [Field], key: &str) -> Option<&'a Field> {
    let same = |field: &&Field| field.name == key;
    let alike = |field: &&Field| field.name.eq_ignore_ascii_case(key);
    fields
        .iter()
        .find(same)
        .or_else(|| fields.iter().find(alike))
}

fn near(fields: &[Field], key: &str) -> Option<&'static str> {
    if key.len() > 64 {
        return None;
    }
    let allowed = (key.len() / 3).clamp(1, 3);
    let key = key.to_lowercase();
    let distance = |field: &Field| strsim::osa_distance(&key, &field.name.to_lowercase());
    let nearest = fields.iter().min_by_key(|field| distance(field))?;
    (distance(nearest) <= allowed).then_some(nearest.name)
}

const fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// As much of a text as somebody recognizes it by.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(100).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
