//! The forms in which a join token is handed to a machine. Pure: a token in, text out.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::script::{self, Setup};
use crate::error::Error;
use crate::output::{Structured, structured};
use crate::tokens::JoinToken;

/// How many bytes are on a line of 76 characters.
const ENCODED: usize = 57;

impl JoinToken {
    /// A command for a shell on the machine: the script, packed. It goes through pipes, so no list of
    /// processes shows the token, and nothing is run of what did not arrive whole. Its lines are short:
    /// of a longer one that is pasted a terminal drops what is beyond 4095 characters, and `BusyBox`
    /// what is beyond 1023.
    pub fn command(&self, setup: &Setup) -> Result<String, Error> {
        let script = script::script(self, setup)?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let packed = gzip
            .write_all(script.as_bytes())
            .and_then(|()| gzip.finish());
        let packed = packed.map_err(|source| Error::io("pack the script", source))?;
        let mut lines = String::new();
        for bytes in packed.chunks(ENCODED) {
            lines.push_str(&STANDARD.encode(bytes));
            lines.push('\n');
        }
        // In a shell of its own nobody's alias is in the way of sudo.
        Ok(format!(
            "(s=$(printf %s '\n{lines}' | base64 -d | gunzip -c) &&\n\
             printf '%s\\n' \"$s\" | $(sh -c 'command -v sudo') sh)"
        ))
    }

    /// User data for cloud-init: the script, and the unit that runs it until it has worked, since
    /// cloud-init runs it once in the life of a machine.
    pub fn cloud_init(&self, setup: &Setup) -> Result<String, Error> {
        let (path, unit) = (self.kept(), self.unit_name());
        // Where there is no systemd nobody tries again: what is not there then would never be.
        let script = self.kept_script(&Setup {
            unattended: true,
            ..setup.clone()
        })?;
        Ok(format!(
            "#cloud-config\n\
             # Makes this machine a {role} of cluster {namespace}/{cluster}.\n\
             # Holds a secret that is good {until}.\n\
             # Beside other parts: add to their lists rather than be left out.\n\
             merge_how:\n\
             \x20 - name: list\n\
             \x20   settings: [append]\n\
             \x20 - name: dict\n\
             \x20   settings: [no_replace, recurse_list]\n\
             write_files:\n\
             \x20 - path: {path}\n\
             \x20   owner: root:root\n\
             \x20   permissions: \"0700\"\n\
             \x20   content: |\n\
             {script}\
             \x20 - path: /etc/systemd/system/{unit}\n\
             \x20   content: |\n\
             {service}\
             runcmd:\n\
             \x20 - - sh\n\
             \x20   - -c\n\
             \x20   - |\n\
             \x20     if [ -d /run/systemd/system ] && systemctl daemon-reload &&\n\
             \x20       systemctl enable --now --no-block {unit}; then exit; fi\n\
             \x20     sh {path} || {{ code=$?; rm -f {path}; exit $code; }}\n",
            role = self.role.name(),
            namespace = self.namespace,
            cluster = self.cluster,
            until = self.until(),
            script = indented(&script),
            service = indented(&self.kept_unit()),
        ))
    }

    /// A configuration for Ignition 3.4: the script, and a unit that runs it until it has worked.
    pub fn ignition(&self, setup: &Setup) -> Result<String, Error> {
        let script = self.kept_script(setup)?;
        let config = json!({
            "ignition": {"version": "3.4.0"},
            "storage": {"files": [{
                "path": self.kept(),
                "mode": 0o700,
                "contents": {"source": format!("data:;base64,{}", STANDARD.encode(script))},
            }]},
            "systemd": {"units": [{
                "name": self.unit_name(),
                "enabled": true,
                "contents": self.kept_unit(),
            }]},
        });
        structured(Structured::Json, &config)
    }

    /// Where the script is kept on a machine for its unit.
    fn kept(&self) -> String {
        format!("/etc/k0s-join-{}.sh", self.cluster)
    }

    fn unit_name(&self) -> String {
        format!("k0s-join-{}.service", self.cluster)
    }

    /// The script that takes itself away, with the token in it, once nobody will run it again.
    fn kept_script(&self, setup: &Setup) -> Result<String, Error> {
        let setup = Setup {
            kept: Some(self.kept()),
            ..setup.clone()
        };
        script::script(self, &setup)
    }

    /// The unit that runs it.
    fn kept_unit(&self) -> String {
        let path = self.kept();
        self.unit(&format!(
            "ConditionPathExists={path}\n\n\
             [Service]\n\
             ExecStart=/bin/sh {path}\n"
        ))
    }

    /// A unit for systemd, with the script as its standard input.
    pub fn systemd(&self, setup: &Setup) -> Result<String, Error> {
        let script = script::script(self, setup)?;
        let role = self.role.name();
        let unit = self.unit(&format!(
            "ConditionPathExists=!/etc/systemd/system/k0s{role}.service\n\n\
             [Service]\n\
             StandardInput=data\n\
             StandardInputData={}\n\
             ExecStart=/bin/sh\n",
            STANDARD.encode(script)
        ));
        Ok(format!(
            "# /etc/systemd/system/k0s-join-{cluster}.service, readable by root alone:\n\
             # it holds a secret that is good {until}.\n\
             {unit}",
            cluster = self.cluster,
            until = self.until(),
        ))
    }

    /// What the units have in common, around what they run.
    fn unit(&self, inner: &str) -> String {
        format!(
            "[Unit]\n\
             Description=Join cluster {namespace}/{cluster} as a {role}\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
             {inner}\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             Restart=on-failure\n\
             RestartSec=15\n\
             RestartPreventExitStatus=3 4 6 7\n\n\
             [Install]\n\
             WantedBy=multi-user.target\n",
            namespace = self.namespace,
            cluster = self.cluster,
            role = self.role.name(),
        )
    }
}

/// A text as a block of YAML below a field of a list's entry.
fn indented(text: &str) -> String {
    text.lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("      {line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
