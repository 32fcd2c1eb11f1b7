//! What is decided about a submitted object, whoever asks: the webhook with a request of the API
//! server, the plugin with a file. Pure functions of the request and of what is known besides.

mod defaults;
mod read;
mod validate;

pub(crate) use defaults::touched;
pub use defaults::{default, patch, schema_defaults};
use serde_json::Value;
pub use validate::{validate, validate_new};

use crate::names::CONVERSION_ERROR_ANNOTATION;
use crate::validation::FieldError;

/// The kinds that are decided about here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A hosted control plane.
    Cluster,
    /// A token.
    JoinTokenRequest,
}

impl Kind {
    /// The kinds, as the API calls them.
    pub const ALL: [Self; 2] = [Self::Cluster, Self::JoinTokenRequest];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::JoinTokenRequest => "JoinTokenRequest",
        }
    }
}

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It is new.
    Create,
    /// It is there already.
    Update,
    /// It goes.
    Delete,
}

impl Operation {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// Who submits it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Name, such as `system:serviceaccount:ci:runner`.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// An object as it was submitted, in the stored version.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What is done.
    pub operation: Operation,
    /// The part of the object that is written, such as `scale`; the whole when left out.
    pub sub_resource: Option<&'a str>,
    /// Its namespace; empty for objects that have none.
    pub namespace: &'a str,
    /// Its name; empty while the API server has still to make one from `generateName`.
    pub name: &'a str,
    /// Who asks.
    pub user: User,
    /// The object as it shall be; not with [`Operation::Delete`].
    pub object: Option<&'a Value>,
    /// The object as it is; not with [`Operation::Create`].
    pub old_object: Option<&'a Value>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

impl Request<'_> {
    /// Whether the object is being deleted: what is written to it then lets go of it, and is in
    /// nobody's way. A new object is not, whatever it says.
    pub fn is_ending(&self) -> bool {
        let ending = |object: &Value| {
            object
                .get("metadata")
                .and_then(|metadata| metadata.get("deletionTimestamp"))
                .is_some_and(|time| !time.is_null())
        };
        self.operation != Operation::Create
            && (self.old_object.is_some_and(ending) || self.object.is_some_and(ending))
    }

    /// Whether something of the object was left out when it was converted.
    pub fn lacks_a_part(&self) -> bool {
        validate::annotation(self.object, CONVERSION_ERROR_ANNOTATION).is_some()
    }
}

/// What is wrong with a request, and what its author should know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Everything that forbids it. None means that it is allowed.
    pub errors: Vec<FieldError>,
    /// What works but should not be, or will have a consequence.
    pub warnings: Vec<String>,
}
