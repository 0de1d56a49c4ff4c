//! Where things are, as cargo tells it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace, and what the person at the keyboard allows.
pub(crate) struct House {
    pub(crate) root: PathBuf,
    /// The target directory that all suites share.
    pub(crate) target: PathBuf,
    /// Nothing may be installed when this is false.
    pub(crate) may_install: bool,
    /// A missing peer is a failure.
    pub(crate) require_peers: bool,
    metadata: Value,
}

/// What a package builds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An integration test.
    Test,
    /// An example.
    Example,
}

impl House {
    /// Asks cargo about the workspace that this program belongs to.
    pub(crate) fn open(may_install: bool, require_peers: bool) -> Result<Self, String> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
        let mut ask = cargo();
        ask.args(["metadata", "--format-version=1", "--all-features"]).current_dir(here);
        let answer = ask.output().map_err(|e| format!("cannot start cargo: {e}"))?;
        if !answer.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&answer.stderr).trim()));
        }
        let metadata: Value =
            serde_json::from_slice(&answer.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
        let path = |key: &str| {
            let path = metadata[key].as_str().map(PathBuf::from);
            path.ok_or_else(|| format!("cargo metadata has no {key}"))
        };
        let (root, target) = (path("workspace_root")?, path("target_directory")?);
        Ok(Self { root, target, may_install, require_peers, metadata })
    }

    /// A cargo command of our own toolchain, started at the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = cargo();
        command.args(args).current_dir(&self.root);
        command
    }

    /// A program started at the root.
    pub(crate) fn program(&self, name: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut command = Command::new(name.as_ref());
        command.args(args).current_dir(&self.root);
        command
    }

    /// Every package of the dependency graph, ours included.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().into_iter().flatten()
    }

    /// The packages of this workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Value> {
        let ids = self.metadata["workspace_members"].as_array();
        self.packages().filter(move |package| ids.is_some_and(|ids| ids.contains(&package["id"])))
    }

    /// The features of a member, without `default`, in alphabetical order.
    pub(crate) fn features(&self, package: &str) -> Vec<String> {
        let found = self.members().find(|member| member["name"] == package);
        let names = found.and_then(|member| member["features"].as_object()).into_iter().flatten();
        let mut names: Vec<_> =
            names.map(|(name, _)| name.clone()).filter(|name| name != "default").collect();
        names.sort();
        names
    }

    /// Package and name of all targets of one kind in the workspace, in alphabetical order.
    pub(crate) fn targets(&self, kind: Target) -> Vec<(String, String)> {
        let kind = match kind {
            Target::Test => "test",
            Target::Example => "example",
        };
        let mut found = Vec::new();
        for member in self.members() {
            for target in member["targets"].as_array().into_iter().flatten() {
                let is_kind = target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind));
                if let (true, Some(package), Some(name)) =
                    (is_kind, member["name"].as_str(), target["name"].as_str())
                {
                    found.push((package.to_owned(), name.to_owned()));
                }
            }
        }
        found.sort();
        found
    }

    /// Whether some member has an integration test of that name.
    pub(crate) fn has_test(&self, name: &str) -> bool {
        self.targets(Target::Test).iter().any(|(_, test)| test == name)
    }

    /// Whether `cargo NAME` is there: a program beside cargo or on the path.
    pub(crate) fn has_cargo_command(&self, name: &str) -> bool {
        self.answers(&mut self.cargo(&[name, "--version"]))
    }

    /// Whether this toolchain is installed. Without rustup there is none but the present one.
    pub(crate) fn has_toolchain(&self, prefix: &str) -> bool {
        let listed = self.program("rustup", &["toolchain", "list"]).output();
        listed.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).lines().any(|l| l.starts_with(prefix)))
    }

    /// Whether a command starts and ends well; what it prints is thrown away.
    pub(crate) fn answers(&self, command: &mut Command) -> bool {
        command.output().is_ok_and(|out| out.status.success())
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
