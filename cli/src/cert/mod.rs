//! `spanwire cert`: a small authority and certificates, to try TLS and mutual TLS with.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `authority` | who signs, and what a certificate says |
//! | `folder` | the files: none is overwritten, keys are for their owner alone |

mod authority;
mod folder;

use crate::args;
use crate::complaint::Complaint;
use crate::secure::Secure;
use authority::{Authority, Role};
use folder::Folder;
use std::io::{self, Write};
use std::path::PathBuf;

/// Make a small authority and certificates, to try TLS and mutual TLS with
///
/// Writes ca.pem and ca.key, and a certificate and a key for each server and client, into a folder. When
/// the folder has an authority already, it signs the new ones. It is meant for tests and small systems
/// of your own: whoever has ca.key can be anybody to them.
///
///   spanwire cert
///   spanwire cert --server db --host db.example.org --client alice --client bob
#[derive(clap::Args, Debug)]
#[group(skip)]
#[command(verbatim_doc_comment, after_help = args::EXIT_STATUS)]
pub(crate) struct Args {
    /// Where to write; made if it is not there
    #[arg(default_value = "certs")]
    dir: PathBuf,
    /// What the server's files are called
    #[arg(long, default_value = "server", value_parser = file_name)]
    server: String,
    /// A name or an IP address under which the server is dialled; may be repeated
    #[arg(long = "host", value_name = "HOST", default_values = ["localhost", "127.0.0.1", "::1"])]
    hosts: Vec<String>,
    /// A client: the name in its certificate, and of its files; may be repeated
    #[arg(long = "client", value_name = "NAME", default_values = ["client"], value_parser = file_name)]
    clients: Vec<String>,
    /// How many days they are good for
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Print nothing
    #[arg(long, short)]
    quiet: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Complaint> {
    let folder = Folder::open(&args.dir)?;
    let (authority, found) = match folder.authority()? {
        Some((certificate, key)) => (Authority::of(&certificate, &key)?, true),
        None => (Authority::new(args.days)?, false),
    };
    let server = authority.certificate(&args.server, Role::Server { hosts: &args.hosts }, args.days)?;
    let mut made = vec![(args.server.as_str(), server)];
    for name in &args.clients {
        made.push((name, authority.certificate(name, Role::Client, args.days)?));
    }
    // All or nothing: what is there already is noticed before the first is written.
    let names = made.iter().map(|(name, _)| *name).chain((!found).then_some(folder::AUTHORITY));
    folder.must_be_free(names)?;
    if !found {
        folder.write(folder::AUTHORITY, authority.pem(), &authority.key_pem())?;
    }
    for (name, signed) in &made {
        folder.write(name, &signed.certificate, &signed.key)?;
    }
    if !args.quiet {
        io::stdout().write_all(report(args, found).as_bytes())?;
    }
    Ok(())
}

/// A certificate that is its own peer's, too, and kept nowhere: for a process that talks to itself.
pub(crate) fn for_a_while(name: &str) -> Result<Secure, Complaint> {
    let authority = Authority::new(1)?;
    let hosts = ["127.0.0.1".to_owned()];
    let signed = authority.certificate(name, Role::Server { hosts: &hosts }, 1)?;
    Ok(Secure {
        authorities: Some(authority.pem().into()),
        certificate: Some(signed.certificate.into()),
        key: Some(signed.key.into()),
        insecure: false,
    })
}

/// What was made, and what to do with it.
fn report(args: &Args, found: bool) -> String {
    let dir = args.dir.display();
    let (server, client, host) = (&args.server, &args.clients[0], &args.hosts[0]);
    let of_server = format!("the server: {}", args.hosts.join(", "));
    let mut rows = vec![(folder::AUTHORITY, "the authority; whoever has its key can be anybody".to_owned())];
    if found {
        rows[0].1 = "the authority that was there".to_owned();
    }
    rows.push((server, of_server));
    rows.extend(args.clients.iter().map(|name| (name.as_str(), "a client".to_owned())));
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 4;
    let mut text = format!("In {dir}, good for {} days:\n\n", args.days);
    for (name, what) in &rows {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        text.push_str(&format!("  {certificate:width$}  {key:width$}  {what}\n"));
    }
    let tls = |name: &str| format!("--cacert {dir}/ca.pem --cert {dir}/{name}.pem --key {dir}/{name}.key");
    text.push_str(&format!(
        "\nTo try mutual TLS, in two terminals:\n\n  \
         spanwire cat --rep --listen tls+tcp://:5555 --data hello \\\n      {}\n\n  \
         spanwire cat --req --dial tls+tcp://{host}:5555 --data hi --ascii \\\n      {}\n",
        tls(server),
        tls(client),
    ));
    text
}

/// A name that is good for a file, too.
fn file_name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if text.is_empty() || text.starts_with('.') || !text.chars().all(good) {
        return Err("use letters, digits, and - _ . @ inside".into());
    }
    match text {
        folder::AUTHORITY => Err("that is what the authority is called".into()),
        _ => Ok(text.into()),
    }
}
