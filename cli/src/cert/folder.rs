//! [`Folder`]: the files. None is overwritten, and keys are for their owner alone.

use crate::complaint::Complaint;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What the files of the authority are called.
pub(super) const AUTHORITY: &str = "ca";

/// Where the files are.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, made if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self, Complaint> {
        fs::create_dir_all(path).map_err(|error| {
            Complaint::new(format!("cannot make the folder {}: {error}", path.display()))
                .advise("name a folder in which this user may make files")
        })?;
        Ok(Self(path.into()))
    }

    /// Certificate and key of the authority, if there is one.
    pub(super) fn authority(&self) -> Result<Option<(String, String)>, Complaint> {
        let read = |path: PathBuf| match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Complaint::new(format!("cannot read {}: {error}", path.display()))),
        };
        match (read(self.certificate(AUTHORITY))?, read(self.key(AUTHORITY))?) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            _ => Err(Complaint::new(format!("{} has half of an authority", self.0.display()))
                .advise("put ca.pem and ca.key there, or neither")),
        }
    }

    /// Complains when one of these would overwrite a file.
    pub(super) fn must_be_free<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), Complaint> {
        let mut seen = Vec::new();
        for name in names {
            if seen.contains(&name) {
                return Err(Complaint::usage(format!("two certificates would be called {name}"))
                    .advise("give them names of their own"));
            }
            seen.push(name);
            for path in [self.certificate(name), self.key(name)] {
                if path.symlink_metadata().is_ok() {
                    return Err(Complaint::new(format!("{} is there already", path.display()))
                        .advise("choose other names with --server and --client, or another folder"));
                }
            }
        }
        Ok(())
    }

    /// Writes a certificate and its key.
    pub(super) fn write(&self, name: &str, certificate: &str, key: &str) -> Result<(), Complaint> {
        write(&self.certificate(name), 0o644, certificate)?;
        write(&self.key(name), 0o600, key)
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), Complaint> {
    let written = create(path, mode).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Complaint::new(format!("cannot write {}: {error}", path.display()))
            .advise("name a folder in which this user may make files")
    })
}

/// Makes a file that is not there yet. It is never readable for more people than in the end.
#[cfg(unix)]
fn create(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
