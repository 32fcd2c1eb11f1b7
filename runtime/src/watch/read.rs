//! Objects as they are read: whole, or not.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::Resource;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object, or what is known of one that does not parse: an API server may hold what an earlier
/// or later release has allowed.
#[derive(Clone, Debug)]
pub enum Read<K> {
    /// It parses.
    Whole(K),
    /// It does not.
    Not(Box<Unreadable>),
}

/// An object that does not parse.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Its metadata, which every object has.
    pub metadata: ObjectMeta,
    /// All of it.
    pub object: Value,
    /// Why it does not parse.
    pub error: String,
}

impl Unreadable {
    /// A part of it (`spec`, `status`), if that can be read by itself.
    pub fn part<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.object.get(name)?).ok()
    }

    /// Its status, if it has one. Conditions that cannot be read are left out: anybody may add one.
    ///
    /// # Errors
    ///
    /// For a status of which more than that cannot be read.
    pub fn status<S: DeserializeOwned>(&self) -> serde_json::Result<Option<S>> {
        let mut status = self.object.get("status").cloned().unwrap_or_default();
        Option::deserialize(&status).or_else(|error| {
            let conditions = status.get_mut("conditions").ok_or(error)?;
            let all = conditions.as_array_mut().map(std::mem::take);
            *conditions = all
                .into_iter()
                .flatten()
                .filter(|condition| Condition::deserialize(condition).is_ok())
                .collect();
            Option::deserialize(status)
        })
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Read<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(default)]
            metadata: ObjectMeta,
        }
        let object = Value::deserialize(deserializer)?;
        let error = match K::deserialize(&object) {
            Ok(whole) => return Ok(Self::Whole(whole)),
            Err(error) => error.to_string(),
        };
        let Metadata { metadata } = Metadata::deserialize(&object).map_err(D::Error::custom)?;
        Ok(Self::Not(Box::new(Unreadable {
            metadata,
            object,
            error,
        })))
    }
}

impl<K: Resource> Resource for Read<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Whole(object) => object.meta(),
            Self::Not(unreadable) => &unreadable.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Whole(object) => object.meta_mut(),
            Self::Not(unreadable) => &mut unreadable.metadata,
        }
    }
}
