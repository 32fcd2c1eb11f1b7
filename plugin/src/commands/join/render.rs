//! The forms in which a join token is handed to a machine. Pure: a token in, text out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::script::{self, Setup};
use crate::error::Error;
use crate::output::{Structured, structured};
use crate::tokens::JoinToken;

impl JoinToken {
    /// Where the token is kept on the machine.
    fn path(&self) -> String {
        format!("/etc/k0s/{}-{}.token", self.cluster, self.role.name())
    }

    /// One line for a shell on the machine: installs k0s where it is missing, writes the token
    /// file for root alone and joins. The token goes through a pipe, so no list of processes
    /// shows it.
    ///
    /// # Errors
    /// [`Error::Usage`] for what only the script can do.
    pub fn command(&self, setup: &Setup, foreground: bool) -> Result<String, Error> {
        if setup.download_url.is_some() || setup.binary.is_some() || setup.start_command.is_some() {
            return Err(Error::Usage {
                message: "the one-line command gets k0s from get.k0s.sh".to_owned(),
                hint: "add -o script, or another form that has the whole script in it".to_owned(),
            });
        }
        let (path, role) = (self.path(), self.role.name());
        let version = self
            .version
            .as_deref()
            .map(|version| format!("K0S_VERSION={version} "))
            .unwrap_or_default();
        let told = ["--token-file", &path].map(str::to_owned);
        let arguments = shell_words::join(told.iter().chain(&setup.arguments));
        let start = if foreground {
            format!("exec k0s {role} {arguments}")
        } else {
            format!("k0s install {role} {arguments} && k0s start")
        };
        let program = format!(
            "(umask 077 && mkdir -p /etc/k0s && cat > {path}) && \
             {{ command -v k0s >/dev/null || curl -sSfL https://get.k0s.sh | {version}sh; }} && \
             {start}"
        );
        Ok(format!(
            "printf %s {} | $(command -v sudo) sh -c {}",
            shell_words::quote(&self.token),
            shell_words::quote(&program)
        ))
    }

    /// User data for cloud-init.
    pub fn cloud_init(&self, setup: &Setup) -> Result<String, Error> {
        // It runs once in the life of a machine: what is not there then would never be.
        let setup = Setup {
            unattended: true,
            ..setup.clone()
        };
        let script = script::script(self, &setup)?;
        // In memory alone: it has the token in it.
        let path = format!("/run/k0s-join-{}.sh", self.cluster);
        let indented: String = script
            .lines()
            .map(|line| match line {
                "" => "\n".to_owned(),
                line => format!("      {line}\n"),
            })
            .collect();
        Ok(format!(
            "#cloud-config\n\
             # Makes this machine a {role} of cluster {namespace}/{cluster}.\n\
             # Holds a secret that is good {until}.\n\
             write_files:\n\
             \x20 - path: {path}\n\
             \x20   owner: root:root\n\
             \x20   permissions: \"0700\"\n\
             \x20   content: |\n\
             {indented}\
             runcmd:\n\
             \x20 - [sh, {path}]\n",
            role = self.role.name(),
            namespace = self.namespace,
            cluster = self.cluster,
            until = self.until(),
        ))
    }

    /// A configuration for Ignition 3.4: the script, and a unit that runs it until it has worked.
    pub fn ignition(&self, setup: &Setup) -> Result<String, Error> {
        let script = script::script(self, setup)?;
        let path = format!("/etc/k0s-join-{}.sh", self.cluster);
        let unit = self.unit(&format!(
            "ConditionPathExists={path}\n\n\
             [Service]\n\
             ExecStart=/bin/sh {path}\n\
             ExecStartPost=/bin/rm -f {path}\n"
        ));
        let config = json!({
            "ignition": {"version": "3.4.0"},
            "storage": {"files": [{
                "path": path,
                "mode": 0o700,
                "contents": {"source": format!("data:;base64,{}", STANDARD.encode(script))},
            }]},
            "systemd": {"units": [{
                "name": format!("k0s-join-{}.service", self.cluster),
                "enabled": true,
                "contents": unit,
            }]},
        });
        structured(Structured::Json, &config)
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

#[cfg(test)]
mod tests;
