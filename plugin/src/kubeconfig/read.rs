//! A kubeconfig as kubectl reads one: the first document, of two keys the last, and a text that is
//! empty is a text that is not there.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::kubeconfig::parse_message;

/// Go's decoder: it minds the padding, and not what bits are left over before it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// What a file says, or several do together. Entries have their names beside them.
#[derive(Clone, Default)]
pub struct Kubeconfig {
    /// Empty where there is none.
    pub current: String,
    pub contexts: Vec<(String, Context)>,
    pub clusters: Vec<(String, Cluster)>,
    pub users: Vec<(String, User)>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Context {
    pub cluster: String,
    pub user: String,
    pub namespace: String,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Cluster {
    pub server: String,
    pub tls_server_name: String,
    pub insecure_skip_tls_verify: bool,
    pub certificate_authority: String,
    #[serde(deserialize_with = "data")]
    pub certificate_authority_data: Vec<u8>,
    pub proxy_url: String,
    pub disable_compression: bool,
    pub extensions: Vec<Extension>,
}

#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Extension {
    pub name: String,
    pub extension: Value,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct User {
    pub client_certificate: String,
    #[serde(deserialize_with = "data")]
    pub client_certificate_data: Vec<u8>,
    pub client_key: String,
    #[serde(deserialize_with = "data")]
    pub client_key_data: Vec<u8>,
    pub token: String,
    #[serde(rename = "tokenFile")]
    pub token_file: String,
    #[serde(rename = "as")]
    pub impersonate: String,
    pub as_uid: String,
    pub as_groups: Vec<String>,
    pub as_user_extra: BTreeMap<String, Vec<String>>,
    pub username: String,
    pub password: String,
    pub auth_provider: Option<AuthProvider>,
    pub exec: Option<Exec>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct AuthProvider {
    pub name: String,
    pub config: BTreeMap<String, String>,
}

/// A program that brings credentials.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Exec {
    pub api_version: String,
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<Variable>,
    pub install_hint: String,
    pub interactive_mode: String,
    pub provide_cluster_info: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

/// The text of a file, whichever of YAML's encodings it is in.
pub fn decode(bytes: &[u8]) -> Result<String, String> {
    let wide = |rest: &[u8], number: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| number(*pair)).collect();
        let text = String::from_utf16(&units).ok().filter(|_| odd.is_empty());
        text.ok_or("it is not UTF-16, as its first bytes say")
    };
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        _ => String::from_utf8(bytes.to_vec()).map_err(|_| "it is not text")?,
    };
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

/// The documents of the user's own file.
pub(super) fn documents(bytes: &mut &[u8]) -> impl Iterator<Item = Result<Value, String>> {
    let options = serde_saphyr::options! {
        // What many users or clusters share is written once, and named as often as there are some.
        budget: serde_saphyr::budget! {enforce_alias_anchor_ratio: false},
        duplicate_keys: DuplicateKeyPolicy::LastWins,
    };
    serde_saphyr::read_with_options::<_, Value>(bytes, options)
        .map(|document| document.map_err(|error| parse_message(&error)))
}

/// Its first document as it is written, with what nobody knows; nothing for an empty one.
pub fn tree(text: &str) -> Result<Map<String, Value>, String> {
    let mut bytes = text.trim_start_matches('\u{feff}').as_bytes();
    let first = documents(&mut bytes).next().transpose()?;
    match first.unwrap_or_default() {
        Value::Null => Ok(Map::new()),
        Value::Object(tree) => Ok(tree),
        _ => Err("it must be a mapping of keys to values".to_owned()),
    }
}

impl User {
    /// Whether it has anything to log in with.
    pub fn has_login(&self) -> bool {
        let texts = [
            &self.client_certificate,
            &self.token,
            &self.token_file,
            &self.username,
        ];
        texts.into_iter().any(|text| !text.is_empty())
            || !self.client_certificate_data.is_empty()
            || self.auth_provider.is_some()
            || self.exec.is_some()
    }
}

impl Kubeconfig {
    /// What kubectl would take a document for, with paths from this folder on.
    pub fn new(tree: &Map<String, Value>, folder: &Path) -> Result<Self, String> {
        let mut tree = Value::Object(tree.clone());
        drop_nulls(&mut tree);
        for (key, known) in [("apiVersion", "v1"), ("kind", "Config")] {
            let found: String = part(&tree, key)?;
            if !found.is_empty() && found != known {
                return Err(format!("{key} must be {known}"));
            }
        }
        let mut read = Self {
            current: part(&tree, "current-context")?,
            contexts: named(&tree, "contexts", "context")?,
            clusters: named(&tree, "clusters", "cluster")?,
            users: named(&tree, "users", "user")?,
        };
        for (_, cluster) in &mut read.clusters {
            locate(&mut cluster.certificate_authority, folder);
        }
        for (_, user) in &mut read.users {
            locate(&mut user.client_certificate, folder);
            locate(&mut user.client_key, folder);
            locate(&mut user.token_file, folder);
            // One word is a program that PATH has.
            if let Some(exec) = user.exec.as_mut().filter(|exec| exec.command.contains('/')) {
                locate(&mut exec.command, folder);
            }
        }
        Ok(read)
    }

    /// With what a file of less weight says besides.
    pub fn and(&mut self, next: Self) {
        fn add<T>(entries: &mut Vec<(String, T)>, next: Vec<(String, T)>) {
            for (name, entry) in next {
                if !entries.iter().any(|(known, _)| *known == name) {
                    entries.push((name, entry));
                }
            }
        }
        if self.current.is_empty() {
            self.current = next.current;
        }
        add(&mut self.contexts, next.contexts);
        add(&mut self.clusters, next.clusters);
        add(&mut self.users, next.users);
    }
}

/// The entry of this name.
pub fn find<'a, T>(entries: &'a [(String, T)], name: &str) -> Option<&'a T> {
    let found = entries.iter().find(|(known, _)| known == name);
    found.map(|(_, entry)| entry)
}

fn named<T: DeserializeOwned + Default>(
    tree: &Value,
    list: &str,
    key: &str,
) -> Result<Vec<(String, T)>, String> {
    let entries: Vec<Map<String, Value>> = part(tree, list)?;
    let mut read: Vec<(String, T)> = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let entry = Value::Object(entry);
        let at = |why| format!("{list}[{index}].{why}");
        let name: String = part(&entry, "name").map_err(at)?;
        if find(&read, &name).is_some() {
            return Err(format!("{list}: Duplicate value: \"{name}\""));
        }
        read.push((name, part(&entry, key).map_err(at)?));
    }
    Ok(read)
}

/// What is under a key. An error names the place and never what is there: it may be a credential.
pub(super) fn part<T: DeserializeOwned + Default>(tree: &Value, key: &str) -> Result<T, String> {
    let Some(found) = tree.get(key) else {
        return Ok(T::default());
    };
    serde_path_to_error::deserialize(found).map_err(|error| {
        let place = match error.path().to_string().as_str() {
            "." => key.to_owned(),
            path if path.starts_with('[') => format!("{key}{path}"),
            path => format!("{key}.{path}"),
        };
        let why = error.inner().to_string();
        let must = why.rsplit(", expected ").next().unwrap_or_default();
        format!("{place} must be {must}")
    })
}

/// A null is what is not there, in Go's texts and lists as well.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

fn locate(path: &mut String, folder: &Path) {
    if !path.is_empty()
        && let Ok(located) = folder.join(&*path).into_os_string().into_string()
    {
        *path = located;
    }
}

fn data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let mut text = String::deserialize(deserializer)?;
    text.retain(|c| !matches!(c, '\r' | '\n'));
    BASE64
        .decode(text)
        .map_err(|_| D::Error::custom(", expected base64"))
}

#[cfg(test)]
mod tests;
