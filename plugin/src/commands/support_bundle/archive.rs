//! The archive: every file through the redactor, an index of them, and what could not be had.

use std::fmt::Write as _;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::output::{Structured, structured};
use crate::redact::{self, Redactor};

/// One file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where it is, below the archive's one folder.
    pub path: String,
    pub bytes: usize,
    pub what: String,
}

/// An archive that is being written.
pub struct Archive<W: Write> {
    files: tar::Builder<GzEncoder<W>>,
    redactor: Redactor,
    /// The one folder in which everything is.
    folder: String,
    made: Timestamp,
    entries: Vec<Entry>,
    missing: Vec<String>,
}

/// What was written.
#[derive(Debug)]
pub struct Contents {
    /// Each file, in the order in which they were gathered.
    pub entries: Vec<Entry>,
    /// What could not be had, and why.
    pub missing: Vec<String>,
}

impl<W: Write> Archive<W> {
    /// An empty archive whose files are in `folder`.
    pub fn new(into: W, folder: &str, made: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            files: tar::Builder::new(GzEncoder::new(into, Compression::default())),
            redactor: Redactor::new()?,
            folder: folder.to_owned(),
            made,
            entries: Vec::new(),
            missing: Vec::new(),
        })
    }

    /// Adds a text.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn text(&mut self, path: &str, what: &str, text: &str) -> Result<(), Error> {
        let text = self.redactor.text(text);
        self.put(path, what, &text)
    }

    /// Adds objects as YAML, one document each; of none there is no file.
    pub fn objects(
        &mut self,
        path: &str,
        what: &str,
        objects: impl IntoIterator<Item = Value>,
    ) -> Result<(), Error> {
        let documents = objects
            .into_iter()
            .map(|object| structured(Structured::Yaml, &self.redactor.object(object)))
            .collect::<Result<Vec<_>, _>>()?;
        if documents.is_empty() {
            return Ok(());
        }
        self.put(path, what, &documents.join("---\n"))
    }

    /// Notes what could not be had.
    pub fn lacks(&mut self, why: &str) {
        let why = self.redactor.text(why);
        if !self.missing.contains(&why) {
            self.missing.push(why);
        }
    }

    /// The objects that were found; what could not be had is noted.
    pub fn found(&mut self, found: Result<Vec<DynamicObject>, Error>) -> Vec<DynamicObject> {
        found.unwrap_or_else(|error| {
            self.lacks(&error.to_string());
            Vec::new()
        })
    }

    /// Adds the index and ends the archive.
    pub fn finish(mut self, title: &str) -> Result<(W, Contents), Error> {
        let title = &self.redactor.text(title);
        if !self.missing.is_empty() {
            let lines = self.missing.join("\n") + "\n";
            self.put("errors.txt", "What could not be had, and why", &lines)?;
        }
        let index = json!({
            "title": title, "made": self.made.to_string(),
            "plugin": env!("CARGO_PKG_VERSION"),
            "files": self.entries, "missing": self.missing,
        });
        let index = structured(Structured::Json, &index)?;
        let page = page(title, self.made, &self.entries, &self.missing);
        self.put("index.json", "This index for programs", &index)?;
        self.put("index.md", "What each file is", &page)?;
        let wrote = |source| Error::io("write the archive", source);
        let inner = self.files.into_inner().map_err(wrote)?;
        let contents = Contents {
            entries: self.entries,
            missing: self.missing,
        };
        Ok((inner.finish().map_err(wrote)?, contents))
    }

    /// Everything that is put here has been through the redactor.
    fn put(&mut self, path: &str, what: &str, text: &str) -> Result<(), Error> {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap_or_default());
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(self.made.as_second()).unwrap_or_default());
        let full = format!("{}/{path}", self.folder);
        self.files
            .append_data(&mut header, full, text.as_bytes())
            .map_err(|source| Error::io("write the archive", source))?;
        self.entries.push(Entry {
            path: path.to_owned(),
            bytes: text.len(),
            what: what.to_owned(),
        });
        Ok(())
    }
}

fn page(title: &str, made: Timestamp, entries: &[Entry], missing: &[String]) -> String {
    let mut page = format!(
        "# {title}\n\n\
         Made at {made} by kubectl k0smotron {}. Tokens, keys, passwords and the contents of \
         Secrets were taken out ({}). Names, addresses, configuration and logs are in it. What \
         there is none of has no file.\n\n\
         | File | Bytes | What it is |\n| --- | ---: | --- |\n",
        env!("CARGO_PKG_VERSION"),
        redact::MARK,
    );
    for Entry { path, bytes, what } in entries {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| [{path}]({path}) | {bytes} | {what} |");
    }
    if !missing.is_empty() {
        page.push_str("\n## What could not be had\n\n");
        for why in missing {
            let _ = writeln!(page, "- {why}");
        }
    }
    page
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;

    /// What is in an archive, by path.
    pub(crate) fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o600);
            let path = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(path, text);
        }
        files
    }

    fn made() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn nothing_gets_in_but_through_the_redactor() {
        let mut archive = Archive::new(Vec::new(), "bundle", made()).unwrap();
        archive
            .text("logs/a.log", "A log", "token=Pl4nted")
            .unwrap();
        let object = json!({"kind": "ConfigMap", "data": {"a": "postgres://a:Pl4nted@b/c"}});
        archive
            .objects("a.yaml", "Objects", [object.clone(), object])
            .unwrap();
        archive.objects("none.yaml", "Nothing", []).unwrap();
        archive.lacks("cannot get it: password=Pl4nted");
        archive.lacks("cannot get it: password=Pl4nted");
        let (bytes, contents) = archive.finish("Support bundle").unwrap();
        assert_eq!(contents.missing, ["cannot get it: password=[redacted]"]);
        let files = unpacked(&bytes);
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "bundle/a.yaml",
                "bundle/errors.txt",
                "bundle/index.json",
                "bundle/index.md",
                "bundle/logs/a.log"
            ]
        );
        assert!(
            files.values().all(|text| !text.contains("Pl4nted")),
            "{files:#?}"
        );
        assert_eq!(files["bundle/a.yaml"].matches("---\n").count(), 1);
    }

    #[test]
    fn the_index_says_what_each_file_is_and_what_is_missing() {
        let mut archive = Archive::new(Vec::new(), "bundle", made()).unwrap();
        archive
            .text("doctor.txt", "What doctor found", "OK\n")
            .unwrap();
        archive.lacks("no permission to list nodes");
        let (bytes, _) = archive.finish("Support bundle of cluster a/demo").unwrap();
        let files = unpacked(&bytes);
        insta::assert_snapshot!(
            files["bundle/index.md"].replace(env!("CARGO_PKG_VERSION"), "[VERSION]"), @"
        # Support bundle of cluster a/demo

        Made at 2026-11-22T10:00:00Z by kubectl k0smotron [VERSION]. Tokens, keys, passwords and the contents of Secrets were taken out ([redacted]). Names, addresses, configuration and logs are in it. What there is none of has no file.

        | File | Bytes | What it is |
        | --- | ---: | --- |
        | [doctor.txt](doctor.txt) | 3 | What doctor found |
        | [errors.txt](errors.txt) | 28 | What could not be had, and why |

        ## What could not be had

        - no permission to list nodes
        ");
        let index: Value = serde_json::from_str(&files["bundle/index.json"]).unwrap();
        assert_eq!(index["files"][0]["path"], "doctor.txt");
        assert_eq!(index["missing"][0], "no permission to list nodes");
    }
}
