//! The objects of a request as types, as far as they can be read.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Decision, Operation, Request};
use crate::before::{self, Found};
use crate::validation::{ErrorType, FieldError};

/// Something that is wrong, and what it is told by from what was wrong before.
#[derive(Clone)]
pub(super) struct Fault {
    pub error: FieldError,
    pub found: (Found, Option<ErrorType>, String, String),
}

impl Fault {
    fn new(error: FieldError, object: &Value) -> Self {
        let found = (
            Found::at(object, &error.path),
            error.sort,
            error.value.clone(),
            before::without_numbers(&error.message),
        );
        Self { error, found }
    }

    pub fn all<T: Serialize>(errors: Vec<FieldError>, object: &T) -> Vec<Self> {
        let object = serde_json::to_value(object).unwrap_or_default();
        let errors = errors.into_iter();
        errors.map(|error| Self::new(error, &object)).collect()
    }
}

/// The object as it was and as it shall be, and what of it cannot be read and is stored like this;
/// or why it cannot be decided about.
pub(super) type Read<T> = Result<(Option<T>, T, Vec<FieldError>), Decision>;

pub(super) fn read<T: DeserializeOwned>(request: &Request<'_>) -> Read<T> {
    let old = request
        .old_object
        .filter(|_| request.operation == Operation::Update);
    let Some(object) = request.object else {
        return Err(Decision {
            errors: vec![unreadable("", "the request has no object")],
            warnings: Vec::new(),
        });
    };
    let mut before = Vec::new();
    let old = old.and_then(|old| {
        readable(old, |fault| {
            before.push(fault.found);
            true
        })
    });
    let (mut stored, mut added) = (Vec::new(), Vec::new());
    let new = readable(object, |fault| {
        let known = before.iter().position(|found| *found == fault.found);
        match known {
            // Nobody can mend what nobody may write.
            Some(at) => {
                before.swap_remove(at);
                stored.push(fault.error);
            }
            None => added.push(fault.error),
        }
        known.is_some()
    });
    match new {
        Some(new) => Ok((old, new, stored)),
        None => Err(Decision {
            errors: added,
            warnings: Vec::new(),
        }
        .after(&stored)),
    }
}

/// Nobody stores more fields that cannot be read, and each of them costs reading all of it once more.
const MOST: usize = 64;

/// Reads what can be read: a field of another type than it has to be is left out where that may be,
/// and its list with it.
fn readable<T: DeserializeOwned>(
    object: &Value,
    mut may_be: impl FnMut(Fault) -> bool,
) -> Option<T> {
    if let Ok(read) = T::deserialize(object) {
        return Some(read);
    }
    let mut object = object.clone();
    for _ in 0..MOST {
        let error = match serde_path_to_error::deserialize::<_, T>(&object) {
            Ok(read) => return Some(read),
            Err(error) => error,
        };
        let path = error.path().to_string();
        let path = if path == "." { "" } else { &path };
        let error = unreadable(path, &error.inner().to_string());
        if !may_be(Fault::new(error, &object)) || !leave_out(&mut object, path) {
            return None;
        }
    }
    None
}

/// Whether there was anything to leave out.
fn leave_out(object: &mut Value, path: &str) -> bool {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let name = name.split('[').next().unwrap_or_default();
    let parent = match parent {
        "" => Some(object),
        parent => object.pointer_mut(&before::pointer(parent)),
    };
    let Some(fields) = parent.and_then(Value::as_object_mut) else {
        return false;
    };
    if path == "spec" {
        // There is always one.
        return fields.insert(name.to_owned(), json!({})) != Some(json!({}));
    }
    fields.remove(name).is_some()
}

fn unreadable(path: &str, message: &str) -> FieldError {
    let path = if path.is_empty() { "object" } else { path };
    // The sort says it already.
    let mut said = ["invalid type: ", "invalid value: "].into_iter();
    let message = said
        .find_map(|said| message.strip_prefix(said))
        .unwrap_or(message);
    FieldError::invalid(path, "", message).hint("kubectl explain shows what is valid")
}
