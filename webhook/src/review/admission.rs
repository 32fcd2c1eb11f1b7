//! From the text of an AdmissionReview to a request, and from a decision to its answer.

use std::borrow::Cow;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crds::admission::{Decision, Operation, Request, User};
use crds::validation::FieldError;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusCause, StatusDetails};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ReviewError, object};
use crate::handlers::{Handlers, Kind, World};
use crate::metrics::Metrics;

const REVIEW: &str = "AdmissionReview";
const V1: &str = "admission.k8s.io/v1";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What is missing in the object.
    Mutate,
    /// Whether the object may be.
    Validate,
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

/// The request as it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    resource: Resource<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(default)]
    user_info: UserInfo,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow, rename = "resource")]
    plural: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct UserInfo {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    groups: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Answers an AdmissionReview.
pub fn admit(
    kinds: &Handlers,
    world: World<'_>,
    stage: Stage,
    metrics: &Metrics,
    body: &[u8],
) -> Result<Vec<u8>, ReviewError> {
    let started = Instant::now();
    let review: Review<'_> = serde_json::from_slice(body).map_err(|source| ReviewError::Parse {
        kind: REVIEW,
        source,
    })?;
    if review.kind != REVIEW || review.api_version != V1 {
        return Err(ReviewError::Version {
            kind: review.kind.into_owned(),
            api_version: review.api_version.into_owned(),
            expected: "AdmissionReview of admission.k8s.io/v1",
        });
    }
    let asked = review.request.ok_or(ReviewError::NoRequest(REVIEW))?;
    if asked.uid.is_empty() {
        return Err(ReviewError::NoUid);
    }
    let (kind, response) = respond(kinds, world, stage, &asked);
    let verdict = match (&response.allowed, &response.patch) {
        (false, _) => "denied",
        (true, Some(_)) => "patched",
        (true, None) => "allowed",
    };
    let operation = operation(&asked.operation).map_or("other", Operation::as_str);
    metrics.admitted(kind, operation, verdict, started.elapsed().as_secs_f64());
    let answer = Answer {
        api_version: V1,
        kind: REVIEW,
        response,
    };
    serde_json::to_vec(&answer).map_err(ReviewError::Answer)
}

fn respond<'a>(
    kinds: &Handlers,
    world: World<'_>,
    stage: Stage,
    asked: &'a Asked<'_>,
) -> (&'static str, Response<'a>) {
    let allowed = Response {
        uid: &asked.uid,
        allowed: true,
        ..Response::default()
    };
    let refused = |message: String| Response {
        uid: &asked.uid,
        status: Some(failure(400, "BadRequest", message)),
        ..Response::default()
    };
    let resource = &asked.resource;
    let Some(kind) = kinds.of(&resource.group, &resource.plural) else {
        // Sent here by a rule that is not ours: no rule of ours is about it either.
        let warning = format!(
            "k0smotron has no rules for {}: see its webhook configurations",
            resource.plural
        );
        let warnings = vec![warning];
        return (
            "other",
            Response {
                warnings,
                ..allowed
            },
        );
    };
    if resource.version != kind.version() {
        let message = format!(
            "{} of version {} are not supported, only of {}: the webhook configuration must have \
             matchPolicy Equivalent",
            resource.plural,
            resource.version,
            kind.version()
        );
        return (kind.name(), refused(message));
    }
    let is_deep = |object: &&RawValue| object::is_deep(object.get());
    if asked.operation != Operation::Delete.as_str() && asked.object.as_ref().is_some_and(is_deep) {
        let most = object::DEEPEST;
        let message = format!("object is invalid: must not be nested deeper than {most} levels");
        return (kind.name(), refused(message));
    }
    let response = match decided_at_once(kind, asked, world, stage) {
        Some(decision) => decided(kind, &asked.head(Operation::Create), decision, allowed),
        None => match parts(asked) {
            Err(message) => refused(message),
            Ok((operation, object, old_object)) => {
                let request = Request {
                    object: object.as_ref(),
                    old_object: old_object.as_ref(),
                    ..asked.head(operation)
                };
                if let Some(unseen) = world.unseen(&request) {
                    let later = Response {
                        uid: &asked.uid,
                        status: Some(later(&unseen)),
                        ..Response::default()
                    };
                    return (kind.name(), later);
                }
                match stage {
                    Stage::Mutate => defaulted(kind, &request, world, allowed),
                    Stage::Validate => {
                        let decision = kind.decide(&request, world);
                        decided(kind, &request, decision, allowed)
                    }
                }
            }
        },
    };
    (kind.name(), response)
}

/// A decision that does not take the object as a tree.
fn decided_at_once(
    kind: &dyn Kind,
    asked: &Asked<'_>,
    world: World<'_>,
    stage: Stage,
) -> Option<Decision> {
    let is_new = operation(&asked.operation) == Some(Operation::Create);
    if stage != Stage::Validate || !is_new || asked.old_object.is_some() {
        return None;
    }
    let text = asked.object?.get();
    kind.decide_new(&asked.head(Operation::Create), text, world)
}

impl Asked<'_> {
    /// The request without objects.
    fn head(&self, operation: Operation) -> Request<'_> {
        Request {
            operation,
            sub_resource: self.sub_resource.as_deref().filter(|name| !name.is_empty()),
            namespace: self.namespace.as_deref().unwrap_or_default(),
            name: self.name.as_deref().unwrap_or_default(),
            user: User {
                name: self.user_info.username.clone().unwrap_or_default(),
                groups: self.user_info.groups.clone().unwrap_or_default(),
            },
            object: None,
            old_object: None,
            dry_run: self.dry_run.unwrap_or_default(),
        }
    }
}

fn operation(name: &str) -> Option<Operation> {
    [Operation::Create, Operation::Update, Operation::Delete]
        .into_iter()
        .find(|operation| operation.as_str() == name)
}

type Parts = (Operation, Option<Value>, Option<Value>);

/// What is done, the object and the old object; or what is missing.
fn parts(asked: &Asked<'_>) -> Result<Parts, String> {
    let operation = operation(&asked.operation)
        .ok_or_else(|| format!("operation {} is not supported", asked.operation))?;
    let part = |raw: Option<&RawValue>, field: &str, needed: bool| match raw {
        Some(raw) => object::read(raw)
            .map(Some)
            .map_err(|error| format!("{field} is invalid: {error}")),
        None if needed => Err(format!(
            "{field} is missing in a request to {}",
            operation.as_str()
        )),
        None => Ok(None),
    };
    let object = part(asked.object, "object", operation != Operation::Delete)?;
    let old_object = part(
        asked.old_object,
        "oldObject",
        operation != Operation::Create,
    )?;
    Ok((operation, object, old_object))
}

fn defaulted<'a>(
    kind: &dyn Kind,
    request: &Request<'_>,
    world: World<'_>,
    allowed: Response<'a>,
) -> Response<'a> {
    let (Some(object), Some(defaulted)) = (request.object, kind.default(request, world)) else {
        return allowed;
    };
    let patch = json_patch::diff(object, &defaulted);
    if patch.0.is_empty() {
        return allowed;
    }
    // A patch always can be written: its keys are strings.
    let patch = serde_json::to_vec(&patch).unwrap_or_default();
    Response {
        patch_type: Some("JSONPatch"),
        patch: Some(BASE64_STANDARD.encode(patch)),
        ..allowed
    }
}

fn decided<'a>(
    kind: &dyn Kind,
    request: &Request<'_>,
    Decision { errors, warnings }: Decision,
    allowed: Response<'a>,
) -> Response<'a> {
    if errors.is_empty() {
        return Response {
            warnings,
            ..allowed
        };
    }
    Response {
        allowed: false,
        status: Some(denial(kind, request, &errors)),
        warnings,
        ..allowed
    }
}

/// All errors, one a line in the message, and as causes, which kubectl shows.
fn denial(kind: &dyn Kind, request: &Request<'_>, errors: &[FieldError]) -> Status {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    // 422 is for what an object says; there is nothing wrong with one that must not be deleted.
    let (code, reason) = match request.operation {
        Operation::Delete => (403, "Forbidden"),
        Operation::Create | Operation::Update => (422, "Invalid"),
    };
    let causes = errors.iter().map(cause).collect();
    Status {
        details: Some(StatusDetails {
            group: Some("k0smotron.io".to_owned()),
            kind: Some(kind.name().to_owned()),
            name: Some(request.name.to_owned()).filter(|name| !name.is_empty()),
            causes: Some(causes),
            ..StatusDetails::default()
        }),
        ..failure(code, reason, lines.join("\n"))
    }
}

/// What depends on something that will be known in a moment. The API server hands the time on, and
/// most of its clients ask again by themselves.
fn later(unseen: &str) -> Status {
    let message = format!("the {unseen} has not been seen here yet: try again");
    Status {
        details: Some(StatusDetails {
            retry_after_seconds: Some(1),
            ..StatusDetails::default()
        }),
        ..failure(503, "ServiceUnavailable", message)
    }
}

fn cause(error: &FieldError) -> StatusCause {
    StatusCause {
        field: Some(error.field()),
        message: Some(error.body()),
        reason: Some(error.reason().to_owned()),
    }
}

fn failure(code: i32, reason: &str, message: String) -> Status {
    Status {
        status: Some("Failure".to_owned()),
        code: Some(code),
        reason: Some(reason.to_owned()),
        message: Some(message),
        ..Status::default()
    }
}
