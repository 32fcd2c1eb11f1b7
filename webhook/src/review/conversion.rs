//! From the text of a ConversionReview to the objects in the version that is asked for.

use std::borrow::Cow;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::ReviewError;
use crate::metrics::Metrics;

const REVIEW: &str = "ConversionReview";
const V1: &str = "apiextensions.k8s.io/v1";

/// Brings one object to a version, such as `k0smotron.io/v1beta2`; or says why it cannot.
pub type Convert = fn(Value, &str) -> Result<Value, String>;

/// The conversion of the product's kinds.
pub fn converter(object: Value, desired: &str) -> Result<Value, String> {
    crds::conversion::convert(object, desired).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Asked<'a>>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow, rename = "desiredAPIVersion")]
    desired: Cow<'a, str>,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    converted_objects: Vec<Value>,
    result: Outcome,
}

#[derive(Serialize)]
struct Outcome {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Answers a ConversionReview: all objects are converted, or none.
pub fn convert(one: Convert, metrics: &Metrics, body: &[u8]) -> Result<Vec<u8>, ReviewError> {
    let started = Instant::now();
    let review: Review<'_> = serde_json::from_slice(body).map_err(|source| ReviewError::Parse {
        kind: REVIEW,
        source,
    })?;
    if review.kind != REVIEW || review.api_version != V1 {
        return Err(ReviewError::Version {
            kind: review.kind.into_owned(),
            api_version: review.api_version.into_owned(),
            expected: "ConversionReview of apiextensions.k8s.io/v1",
        });
    }
    let asked = review.request.ok_or(ReviewError::NoRequest(REVIEW))?;
    if asked.uid.is_empty() {
        return Err(ReviewError::NoUid);
    }
    let converted: Result<Vec<Value>, String> = asked
        .objects
        .iter()
        .enumerate()
        .map(|(index, raw)| {
            serde_json::from_str(raw.get())
                .map_err(|error| error.to_string())
                .and_then(|object| one(object, &asked.desired))
                .map_err(|error| format!("objects[{index}]: {error}"))
        })
        .collect();
    let (converted_objects, result) = match converted {
        Ok(objects) => {
            let result = Outcome {
                status: "Success",
                message: None,
            };
            (objects, result)
        }
        Err(message) => {
            let result = Outcome {
                status: "Failed",
                message: Some(message),
            };
            (Vec::new(), result)
        }
    };
    metrics.converted(result.status, started.elapsed().as_secs_f64());
    let answer = Answer {
        api_version: V1,
        kind: REVIEW,
        response: Response {
            uid: &asked.uid,
            converted_objects,
            result,
        },
    };
    serde_json::to_vec(&answer).map_err(ReviewError::Answer)
}
