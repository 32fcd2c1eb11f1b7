//! An object as rules with fields of their own see it. What many policies ask for is read once.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::Value;

use crate::policy::{image, text};
use crate::v1beta2::{DEFAULT_ETCD_IMAGE, DEFAULT_IMAGE, StorageType};
use crate::version::{DEFAULT_VERSION, K0sVersion};

/// An object, and what was read of it so far.
pub(super) struct Seen<'a> {
    pub object: &'a Value,
    version: OnceCell<(Cow<'a, str>, Option<K0sVersion>)>,
    images: OnceCell<Vec<Image<'a>>>,
}

/// An image that an object names, or gets because it names none.
pub(super) struct Image<'a> {
    pub path: String,
    /// The path without the numbers of items.
    pub place: Cow<'static, str>,
    pub text: Cow<'a, str>,
    /// The volume that it is in, or whether what it is for runs.
    pub around: Option<&'a Value>,
    /// Registry and path; none when it is no image.
    pub parts: Option<Vec<String>>,
}

impl<'a> Seen<'a> {
    pub(super) const fn new(object: &'a Value) -> Self {
        Self {
            object,
            version: OnceCell::new(),
            images: OnceCell::new(),
        }
    }

    /// The version of a Cluster, as it is written and as it is read.
    pub(super) fn version(&self) -> &(Cow<'a, str>, Option<K0sVersion>) {
        self.version.get_or_init(|| {
            // As `upgrade::target` has it.
            let text = text::at(self.object, "spec.version")
                .or_else(|| text::at(self.object, "status.version"))
                .unwrap_or(Cow::Borrowed(DEFAULT_VERSION));
            let version = text.parse().ok();
            (text, version)
        })
    }

    /// The images of a Cluster.
    pub(super) fn images(&self) -> &[Image<'a>] {
        self.images.get_or_init(|| images(self.object))
    }
}

fn images<'a>(object: &'a Value) -> Vec<Image<'a>> {
    let mut images = Vec::new();
    let mut add = |path: String, place: Cow<'static, str>, text: Cow<'a, str>, around| {
        let parts = image::parts(&text);
        images.push(Image {
            path,
            place,
            text,
            around,
            parts,
        });
    };
    let mut one = |path: &'static str, text| add(path.to_owned(), path.into(), text, None);
    let path = "spec.image";
    one(path, text::filled(object, path, DEFAULT_IMAGE));
    if text::storage_type(object) == StorageType::Etcd.as_str() {
        let path = "spec.storage.etcd.image";
        one(path, text::filled(object, path, DEFAULT_ETCD_IMAGE));
    }
    // Helpers count as soon as they are named, whether or not they run today.
    for (path, switch) in [
        (
            "spec.storage.etcd.defragJob.image",
            "spec.storage.etcd.defragJob.enabled",
        ),
        ("spec.monitoring.prometheusImage", "spec.monitoring.enabled"),
        ("spec.monitoring.proxyImage", "spec.monitoring.enabled"),
    ] {
        if let Some(image) = text::at(object, path) {
            let runs = text::field(object, switch).filter(|runs| **runs != Value::Bool(false));
            add(path.to_owned(), path.into(), image, runs);
        }
    }
    for field in ["manifests", "mounts"] {
        let volumes = object.get("spec").and_then(|spec| spec.get(field));
        let volumes = volumes.and_then(Value::as_array).into_iter().flatten();
        for (index, volume) in volumes.enumerate() {
            if let Some(image) = text::at(volume, "image.reference") {
                add(
                    format!("spec.{field}[{index}].image.reference"),
                    format!("spec.{field}[*].image.reference").into(),
                    image,
                    Some(volume),
                );
            }
        }
    }
    images
}
