//! The kubeconfig of a hosted cluster, as far as anything of it is used.
//!
//! Whoever may write Secrets in a namespace writes it, and it is used by whoever looks after the
//! cluster: a kubeconfig can name programs to run, files to read and proxies to dial. So it is made
//! anew from what is known to be harmless, and nobody gets to see the text that was there.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::escape;
use crate::kubeconfig::merge::Problem;
use crate::kubeconfig::parse_message;

/// A field that may be there, whether its text is right, and what it must be.
type Field = (&'static str, fn(&str) -> bool, &'static str);

const DATA: &str = "must be base64";
const NAME: &str = "must be a name on one line";
const CLUSTER: &[Field] = &[
    ("server", is_address, "must be an https address"),
    ("certificate-authority-data", is_data, DATA),
    ("tls-server-name", is_host, "must be a host name"),
];
const USER: &[Field] = &[
    ("client-certificate-data", is_data, DATA),
    ("client-key-data", is_data, DATA),
    ("token", is_token, "must be one word"),
];
const CONTEXT: &[Field] = &[
    ("cluster", is_name, NAME),
    ("user", is_name, NAME),
    ("namespace", is_label, "must be the name of a namespace"),
];
const TOP: &[Field] = &[
    ("apiVersion", is_name, NAME),
    ("kind", is_name, NAME),
    ("current-context", is_name, NAME),
];
/// The lists, and under which key their entries have what they are about.
const LISTS: [(&str, &str, &[Field]); 3] = [
    ("contexts", "context", CONTEXT),
    ("clusters", "cluster", CLUSTER),
    ("users", "user", USER),
];
/// The most of a foreign name that is worth a place in a message.
const SHOWN: usize = 60;

/// What a kubeconfig says about one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    names: [String; 3],
    pub(super) cluster: Map<String, Value>,
    pub(super) user: Map<String, Value>,
    context: Map<String, Value>,
}

impl Entry {
    /// Takes the one context of a kubeconfig, with its cluster and user.
    ///
    /// # Errors
    /// [`Problem::Unusable`] when one of the three is missing, [`Problem::Forbidden`] for what is
    /// there besides.
    pub fn current(text: &str) -> Result<Self, Problem> {
        let mut tree = strict(text)?;
        let lists = LISTS.map(|(list, ..)| tree.remove(list).unwrap_or_default());
        let top = only("", &tree, TOP)?;
        let [context, cluster, user] = lists;
        let [of_context, of_cluster, of_user] = LISTS;
        let (name, mut context) = sole(&context, of_context)?;
        let (cluster_name, cluster) = sole(&cluster, of_cluster)?;
        let (user_name, user) = sole(&user, of_user)?;
        for (wanted, key, found) in [
            (top.get("current-context"), "context", &name),
            (context.remove("cluster").as_ref(), "cluster", &cluster_name),
            (context.remove("user").as_ref(), "user", &user_name),
        ] {
            let wanted = wanted.and_then(Value::as_str).unwrap_or_default();
            if wanted != found {
                let missing = format!("it has no {key} \"{}\"", short(wanted));
                return Err(Problem::Unusable(missing));
            }
        }
        for (empty, what) in [
            (!cluster.contains_key("server"), "its cluster has no server"),
            (user.is_empty(), "its user has no certificate and no token"),
        ] {
            if empty {
                return Err(Problem::Unusable(what.to_owned()));
            }
        }
        Ok(Self {
            names: [name, cluster_name, user_name],
            cluster,
            user,
            context,
        })
    }

    /// Address of the API.
    pub fn server(&self) -> &str {
        let server = self.cluster.get("server").and_then(Value::as_str);
        server.unwrap_or_default()
    }

    /// The same with another address of the API.
    #[must_use]
    pub fn at(mut self, server: &str) -> Self {
        self.cluster.insert("server".to_owned(), json!(server));
        self
    }

    /// The same with another name to find in the API server's certificate.
    #[must_use]
    pub fn named(mut self, host: &str) -> Self {
        self.cluster
            .insert("tls-server-name".to_owned(), json!(host));
        self
    }

    /// The same, with one name for all three.
    #[must_use]
    pub fn called(mut self, name: &str) -> Self {
        self.names = [name; 3].map(str::to_owned);
        self
    }

    /// The same for whom a certificate (PEM, as is its key) lets in.
    #[must_use]
    pub fn of(mut self, certificate: &str, key: &str) -> Self {
        self.user = Map::from_iter([
            (
                "client-certificate-data".to_owned(),
                json!(STANDARD.encode(certificate)),
            ),
            ("client-key-data".to_owned(), json!(STANDARD.encode(key))),
        ]);
        self
    }

    /// A kubeconfig with nothing but this, under the names that it had.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn to_yaml(&self) -> Result<String, Error> {
        // Each field is on a line of its own, where scripts look for it.
        let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(&self.whole(), options)
            .map_err(|source| Error::io("write the kubeconfig", io::Error::other(source)))
    }

    /// The same as a value.
    pub fn whole(&self) -> Value {
        let [context, cluster, user] = &self.names;
        self.under(context, cluster, user)
    }

    /// A kubeconfig with nothing but this, under one name.
    pub fn alone(&self, name: &str) -> Value {
        self.under(name, name, name)
    }

    fn under(&self, context: &str, cluster: &str, user: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "preferences": {},
            "clusters": [{"name": cluster, "cluster": self.cluster}],
            "users": [{"name": user, "user": self.user}],
            "contexts": [{"name": context, "context": self.context_of(cluster, user)}],
        })
    }

    pub(super) fn context_of(&self, cluster: &str, user: &str) -> Map<String, Value> {
        let mut context = self.context.clone();
        context.insert("cluster".to_owned(), json!(cluster));
        context.insert("user".to_owned(), json!(user));
        context
    }
}

/// Nothing twice, and nothing behind the end: who else reads it may take the other.
fn strict(text: &str) -> Result<Map<String, Value>, Problem> {
    let text = text.trim_start_matches('\u{feff}');
    let read: Option<_> =
        serde_saphyr::from_str(text).map_err(|error| Problem::Unusable(parse_message(&error)))?;
    Ok(read.unwrap_or_default())
}

/// The name and the content of a list's one entry: which of two counted would depend on who reads.
fn sole(
    list: &Value,
    (place, key, fields): (&str, &str, &[Field]),
) -> Result<(String, Map<String, Value>), Problem> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = match entries {
        [] => return Err(Problem::Unusable(format!("it has no {key}"))),
        [entry] => entry,
        more => {
            return Err(Problem::Forbidden {
                field: place.to_owned(),
                why: format!("must be one, and there are {}", more.len()),
            });
        }
    };
    let place = format!("{place}[0].");
    let mut entry = entry.as_object().cloned().unwrap_or_default();
    let content = entry.remove(key).unwrap_or_default();
    let named = only(&place, &entry, &[("name", is_name, NAME)])?;
    let name = named.get("name").and_then(Value::as_str);
    let content = content.as_object().cloned().unwrap_or_default();
    let content = only(&format!("{place}{key}."), &content, fields)?;
    Ok((name.unwrap_or_default().to_owned(), content))
}

/// What of these fields is there, after a look at each. One that says nothing is left out.
fn only(
    place: &str,
    content: &Map<String, Value>,
    fields: &[Field],
) -> Result<Map<String, Value>, Problem> {
    let mut kept = Map::new();
    for (key, value) in content.iter().filter(|(_, value)| !says_nothing(value)) {
        let known = fields.iter().find(|(name, ..)| name == key);
        let why = match (known, value) {
            (Some((_, is_right, _)), Value::String(text)) if is_right(text) => {
                kept.insert(key.clone(), value.clone());
                continue;
            }
            (Some((_, _, must)), _) => (*must).to_owned(),
            (None, _) => {
                let names: Vec<&str> = fields.iter().map(|(name, ..)| *name).collect();
                format!("is forbidden; only {} may be there", names.join(", "))
            }
        };
        let field = format!("{place}{}", short(key));
        return Err(Problem::Forbidden { field, why });
    }
    Ok(kept)
}

/// A foreign word as it may stand in a message.
pub(super) fn short(text: &str) -> String {
    let text: String = text.chars().take(SHOWN).collect();
    escape::line(&text).into_owned()
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn is_address(text: &str) -> bool {
    // What a shell, curl or a reader may take for something else is not needed.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~/%:-".contains(c);
    let bracket = |c: char| matches!(c, '[' | ']');
    // Of the whole text: a parser looks at nothing behind a #.
    let is_plain = text.chars().all(|c| plain(c) || bracket(c));
    text.parse::<http::Uri>().is_ok_and(|uri| {
        let named = uri.host().is_some_and(|host| !host.is_empty());
        // Only an address of IPv6 has brackets; before an @ would be a name and a password.
        let authority = uri
            .authority()
            .is_some_and(|authority| !authority.as_str().contains(['~', '/', '%']));
        let rest = text.split('/').skip(3).all(|part| !part.contains(bracket));
        uri.scheme_str() == Some("https") && named && is_plain && authority && rest
    })
}

fn is_data(text: &str) -> bool {
    STANDARD.decode(text).is_ok()
}

fn is_token(text: &str) -> bool {
    // As RFC 6750 has it, with the colon of some: curl reads it from a text in quotes.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~+/=:".contains(c);
    text.chars().all(fits)
}

fn is_host(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
}

pub(super) fn is_label(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 63 && text.chars().all(fits)
}

fn is_name(text: &str) -> bool {
    text.len() <= 253 && !text.chars().any(escape::is_obeyed)
}

#[cfg(test)]
mod tests;
