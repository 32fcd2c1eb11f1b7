//! Texts in little memory: objects of one kind say nearly the same, so of each is kept in what it
//! differs from a few others.

use std::borrow::Cow;
use std::sync::Arc;

use lz4_flex::block::{compress_with_dict, decompress_with_dict};

/// In bytes, of all samples of a kind: the packer finds little in what is longer.
const MOST_SAMPLES: usize = 16 * 1024;
/// A longer text is no sample: it would leave no room for others.
const LONGEST_SAMPLE: usize = 8 * 1024;

/// A text, packed if it is shorter so.
#[derive(Clone, Debug)]
pub enum Text {
    /// As it is.
    Plain(Box<str>),
    /// What it has that its samples do not.
    Packed {
        bytes: Box<[u8]>,
        length: usize,
        samples: Arc<[u8]>,
    },
}

impl Text {
    /// All of it.
    pub fn get(&self) -> Cow<'_, str> {
        match self {
            Self::Plain(text) => Cow::Borrowed(text),
            Self::Packed {
                bytes,
                length,
                samples,
            } => {
                // Neither step fails of what was packed here.
                let text = decompress_with_dict(bytes, *length, samples).unwrap_or_default();
                Cow::Owned(String::from_utf8(text).unwrap_or_default())
            }
        }
    }
}

/// Texts of one kind that others are compared with.
#[derive(Default)]
pub struct Samples(Arc<[u8]>);

impl Samples {
    /// Packs a text; one that is like none of them becomes one.
    pub fn pack(&mut self, text: &str) -> Text {
        let bytes = compress_with_dict(text.as_bytes(), &self.0);
        let is_new = bytes.len() > text.len() / 3;
        let packed = if bytes.len() < text.len() {
            Text::Packed {
                bytes: bytes.into(),
                length: text.len(),
                samples: Arc::clone(&self.0),
            }
        } else {
            Text::Plain(text.into())
        };
        if is_new && text.len() <= LONGEST_SAMPLE && self.0.len() + text.len() <= MOST_SAMPLES {
            self.0 = [&self.0, text.as_bytes()].concat().into();
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn size(text: &Text) -> usize {
        match text {
            Text::Plain(text) => text.len(),
            Text::Packed { bytes, .. } => bytes.len(),
        }
    }

    #[test]
    fn of_what_is_like_others_only_the_difference_is_kept() {
        let service = |number: usize| {
            let name = format!("hcp-{number:05}");
            let uid = super::super::digest(name.as_bytes());
            json!({"metadata": {"name": name, "namespace": "scale", "uid": uid,
                "labels": {"app": "k0smotron", "cluster": name, "component": "cluster"},
                "annotations": {"k0smotron.io/applied-hash": super::super::digest(uid.as_bytes())}},
                "spec": {"type": "ClusterIP", "selector": {"app": "k0smotron", "cluster": name},
                "ports": [{"name": "api", "port": 6443, "protocol": "TCP", "targetPort": 6443}]}})
            .to_string()
        };
        let mut samples = Samples::default();
        for number in 0..100 {
            let text = service(number);
            let packed = samples.pack(&text);
            assert_eq!(packed.get(), text);
            assert!(number == 0 || size(&packed) < text.len() / 2, "{packed:?}");
        }
        assert!(samples.0.len() <= MOST_SAMPLES);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(texts in prop::collection::vec(".{0,3000}", 1..8)) {
            let mut samples = Samples::default();
            let packed: Vec<Text> = texts.iter().map(|text| samples.pack(text)).collect();
            for (packed, text) in packed.iter().zip(&texts) {
                prop_assert_eq!(&packed.get(), text);
                prop_assert!(size(packed) <= text.len());
            }
        }
    }
}
