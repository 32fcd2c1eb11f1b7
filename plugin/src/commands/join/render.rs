//! The forms in which a join token is handed to a machine. Pure: a token in, text out.
//!
//! Nothing of these texts is quoted by hand: names are checked to be made of letters, digits, `-`
//! and `.`, versions are parsed, tokens are base64, so none of them can end a shell word or a
//! YAML string.

use serde::Serialize;

use super::Role;

/// A token and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// Name of the `JoinTokenRequest` and of its Secret.
    pub request: String,
    /// Namespace of both and of the Cluster.
    pub namespace: String,
    /// The cluster that a machine joins with it.
    pub cluster: String,
    /// What the machine becomes.
    pub role: Role,
    /// Public part of the token.
    #[serde(rename = "tokenID")]
    pub token_id: Option<String>,
    /// When it ends, RFC 3339; `None` is never.
    pub expires_at: Option<String>,
    /// k0s version of the cluster, as k0s writes it.
    pub version: Option<String>,
    /// The token itself.
    pub token: String,
}

impl JoinToken {
    /// Where the token is kept on the machine.
    fn path(&self) -> String {
        format!("/etc/k0s/{}-{}.token", self.cluster, self.role.name())
    }

    fn installer(&self) -> String {
        let version = self
            .version
            .as_deref()
            .map(|version| format!("K0S_VERSION={version} "));
        format!(
            "curl -sSfL https://get.k0s.sh | {}sh",
            version.unwrap_or_default()
        )
    }

    /// One line for a shell on the machine: installs k0s where it is missing, writes the token
    /// file for root alone and joins. The token goes through a pipe, so no list of processes
    /// shows it.
    pub fn command(&self, foreground: bool) -> String {
        let (path, role) = (self.path(), self.role.name());
        let start = if foreground {
            format!("exec k0s {role} --token-file {path}")
        } else {
            format!("k0s install {role} --token-file {path} && k0s start")
        };
        format!(
            "printf %s {token} | $(command -v sudo) sh -c '(umask 077 && mkdir -p /etc/k0s && \
             cat > {path}) && {{ command -v k0s >/dev/null || {install}; }} && {start}'",
            token = self.token,
            install = self.installer(),
        )
    }

    /// User data for cloud-init.
    pub fn cloud_init(&self) -> String {
        let valid = self.expires_at.as_deref().unwrap_or("for ever");
        let until = if self.expires_at.is_some() {
            "until "
        } else {
            ""
        };
        format!(
            "#cloud-config\n\
             # Makes this machine a {role} of cluster {namespace}/{cluster}.\n\
             # Holds a secret that is good {until}{valid}.\n\
             write_files:\n\
             \x20 - path: {path}\n\
             \x20   owner: root:root\n\
             \x20   permissions: \"0600\"\n\
             \x20   content: {token}\n\
             runcmd:\n\
             \x20 - [sh, -c, \"command -v k0s >/dev/null || {install}\"]\n\
             \x20 - [k0s, install, {role}, --token-file, {path}]\n\
             \x20 - [k0s, start]\n",
            role = self.role.name(),
            namespace = self.namespace,
            cluster = self.cluster,
            path = self.path(),
            token = self.token,
            install = self.installer(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            request: "demo-worker-x7k2p".into(),
            namespace: "team-a".into(),
            cluster: "demo".into(),
            role: Role::Worker,
            token_id: Some("a1b2c3".into()),
            expires_at: Some("2026-11-23T10:00:00Z".into()),
            version: Some("v1.36.3+k0s.2".into()),
            token: "H4sIAAAA+/8=".into(),
        }
    }

    #[test]
    fn the_command_is_one_line_that_keeps_the_token_private() {
        let command = token().command(false);
        assert_eq!(command.lines().count(), 1);
        insta::assert_snapshot!(command, @"printf %s H4sIAAAA+/8= | $(command -v sudo) sh -c '(umask 077 && mkdir -p /etc/k0s && cat > /etc/k0s/demo-worker.token) && { command -v k0s >/dev/null || curl -sSfL https://get.k0s.sh | K0S_VERSION=v1.36.3+k0s.2 sh; } && k0s install worker --token-file /etc/k0s/demo-worker.token && k0s start'");
    }

    #[test]
    fn in_the_foreground_k0s_takes_the_shells_place() {
        assert!(
            token()
                .command(true)
                .ends_with("&& exec k0s worker --token-file /etc/k0s/demo-worker.token'")
        );
    }

    #[test]
    fn without_a_version_the_installer_takes_its_newest() {
        let unknown = JoinToken {
            version: None,
            ..token()
        };
        assert!(unknown.command(false).contains("https://get.k0s.sh | sh;"));
    }

    #[test]
    fn a_shell_reads_the_command_as_it_is_meant() {
        // Everything that the command runs is replaced by functions that record; only the shell
        // itself is real.
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path();
        let record = "#!/bin/sh\necho \"$(basename \"$0\") $*\" >> \"$RECORD\"\n";
        for program in ["k0s", "mkdir"] {
            let path = bin.join(program);
            std::fs::write(&path, record).unwrap();
            std::process::Command::new("chmod")
                .arg("755")
                .arg(&path)
                .status()
                .unwrap();
        }
        let file = bin.join("token");
        let line = token()
            .command(false)
            .replace("/etc/k0s/demo-worker.token", file.to_str().unwrap())
            .replace("$(command -v sudo)", "");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let status = std::process::Command::new("sh")
            .args(["-c", &line])
            .env("PATH", path)
            .env("RECORD", bin.join("record"))
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "H4sIAAAA+/8=");
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&file).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        let record = std::fs::read_to_string(bin.join("record")).unwrap();
        let file = file.display();
        assert_eq!(
            record,
            format!("mkdir -p /etc/k0s\nk0s install worker --token-file {file}\nk0s start\n")
        );
    }

    #[test]
    fn cloud_init_is_yaml_with_a_private_file() {
        let text = token().cloud_init();
        let parsed: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(parsed["write_files"][0]["permissions"], "0600");
        assert_eq!(parsed["write_files"][0]["content"], "H4sIAAAA+/8=");
        insta::assert_snapshot!(text, @r#"
        #cloud-config
        # Makes this machine a worker of cluster team-a/demo.
        # Holds a secret that is good until 2026-11-23T10:00:00Z.
        write_files:
          - path: /etc/k0s/demo-worker.token
            owner: root:root
            permissions: "0600"
            content: H4sIAAAA+/8=
        runcmd:
          - [sh, -c, "command -v k0s >/dev/null || curl -sSfL https://get.k0s.sh | K0S_VERSION=v1.36.3+k0s.2 sh"]
          - [k0s, install, worker, --token-file, /etc/k0s/demo-worker.token]
          - [k0s, start]
        "#);
    }
}
