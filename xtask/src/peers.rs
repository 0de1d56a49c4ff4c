//! The foreign peers: NNG and nanomsg with their command line programs, and pynng; a browser, and what
//! the JavaScript client is tested with; and the tools that count what our programs do.
//!
//! On Debian and its kin the first come from apt, when we are root or sudo asks for no password;
//! pynng goes into a virtual environment under the target directory, and NNG 1.12 is built there
//! from the sources that the crate nng-c-sys carries. Elsewhere we only look.

use crate::count::Tally;
use crate::house::House;
use std::path::PathBuf;
use std::process::Command;

/// Looks for every peer, installs what is missing when that is allowed, and counts what is there.
pub(crate) fn install(house: &House) -> Tally {
    let missing: Vec<_> = PEERS.iter().filter(|peer| !peer.is_there(house)).collect();
    let mut packages: Vec<_> = missing.iter().map(|peer| peer.package).collect();
    let no_python = python(house).is_none();
    if no_python && !house.answers(&mut house.program("python3", &["-c", "import ensurepip"])) {
        packages.extend(["python3", "python3-venv"]);
    }
    let no_cmake = new_nng(house).is_none() && !on_path("cmake");
    if no_cmake {
        packages.push("cmake");
    }
    if house.may_install {
        if !packages.is_empty() {
            apt(house, &packages);
        }
        if no_python {
            virtual_environment(house);
        }
        if new_nng(house).is_none() {
            build_new_nng(house);
        }
    }

    let mut tally = Tally { expected: PEERS.len() as u64 + 2, ..Tally::default() };
    let mut found = |there: bool, name: &str, how: &str| {
        println!("{name:<15} {}", if there { "is there" } else { "IS MISSING" });
        if there {
            tally.passed += 1;
        } else {
            tally.without_peer += 1;
            tally.skipped.push(format!("{name} is missing; {how}"));
        }
    };
    for peer in PEERS {
        found(peer.is_there(house), peer.package, &format!("apt-get install {}", peer.package));
    }
    found(python(house).is_some(), PYNNG, "python3 -m venv target/peers-venv, then pip install it there");
    found(new_nng(house).is_some(), "nng-c-sys", "it is built with cargo, cmake and cc");
    tally
}

/// What the benchmark's peers need of the system: installed when that is allowed, else named.
pub(crate) fn install_for_bench(house: &House) {
    let missing = || BENCH_PEERS.iter().filter(|peer| !peer.is_there(house)).map(|peer| peer.package);
    let packages: Vec<_> = missing().collect();
    if house.may_install && !packages.is_empty() {
        apt(house, &packages);
    }
    for package in missing() {
        println!("{package} is missing, and what needs it is not measured; apt-get install {package}");
    }
}

/// NNG 1.12 as a shared library, if it was built.
pub(crate) fn new_nng(house: &House) -> Option<PathBuf> {
    Some(house.target.join(NEW_NNG)).filter(|library| library.is_file())
}

/// A Python that can import pynng: that of our virtual environment, or the system's.
pub(crate) fn python(house: &House) -> Option<PathBuf> {
    let candidates = [environment(house).join("bin/python"), PathBuf::from("python3")];
    candidates.into_iter().find(|python| house.answers(&mut house.program(python, &["-c", "import pynng"])))
}

/// A peer that the system's package manager brings.
struct Peer {
    /// Its package on Debian. The development packages bring the libraries along, whose own names
    /// differ between releases.
    package: &'static str,
    /// What shows that it is there, however it was installed.
    sign: Sign,
}

enum Sign {
    Program(&'static str),
    Header(&'static str),
    /// A shared library, by the name that programs load it by.
    Library(&'static str),
}

impl Peer {
    fn is_there(&self, house: &House) -> bool {
        match self.sign {
            Sign::Program(name) => on_path(name),
            Sign::Header(name) => {
                let mut compile = house.program("cc", &["-E", "-x", "c", "-include", name, "/dev/null"]);
                house.answers(&mut compile)
            }
            Sign::Library(name) => {
                let known = house.program("ldconfig", &["-p"]).output();
                known.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(name))
            }
        }
    }
}

/// Whether a program of this name can be started.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn apt(house: &House, packages: &[&str]) {
    if !on_path("apt-get") {
        return println!("there is no apt-get here; missing: {}", packages.join(" "));
    }
    let as_root: &[&str] = if is_root(house) {
        &[]
    } else if house.answers(&mut house.program("sudo", &["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        return println!("not root, and sudo asks for a password; missing: {}", packages.join(" "));
    };
    let get = |args: &[&str]| {
        let mut words = as_root.to_vec();
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        words.extend(args);
        say_and_run(&mut house.program(words[0], &words[1..]))
    };
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(packages);
    // The lists of a fresh machine are empty, those of an old one name files that are gone.
    if !get(&install) && get(&["update"]) {
        get(&install);
    }
}

fn is_root(house: &House) -> bool {
    let id = house.program("id", &["-u"]).output();
    id.is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

fn virtual_environment(house: &House) {
    let folder = environment(house);
    let Some(folder) = folder.to_str() else { return println!("pip cannot live in {}", folder.display()) };
    if say_and_run(&mut house.program("python3", &["-m", "venv", folder])) {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYNNG];
        say_and_run(&mut house.program(environment(house).join("bin/python"), &pip));
    }
}

/// Lets the crate build its static library, and makes a shared one of that.
fn build_new_nng(house: &House) {
    let folder = house.target.join("peers-nng");
    let mut build = house.program("cargo", &["build", "--quiet", "--release", "--locked"]);
    build.args(["--manifest-path", "tests/interop/nng/Cargo.toml", "--target-dir"]).arg(&folder);
    if !say_and_run(&mut build) {
        return;
    }
    let builds = std::fs::read_dir(folder.join("release/build")).into_iter().flatten().flatten();
    let archives = builds.map(|entry| entry.path().join("out/lib/libnng.a"));
    let Some(archive) = archives.into_iter().find(|archive| archive.is_file()) else {
        return println!("nng-c-sys has left no library in {}", folder.display());
    };
    let mut link = house.program("cc", &["-shared", "-Wl,--whole-archive"]);
    link.arg(&archive).args(["-Wl,--no-whole-archive", "-Wl,--start-group"]);
    // What it has TLS from stands beside it.
    link.args(
        ["mbedtls", "mbedx509", "mbedcrypto"].map(|name| archive.with_file_name(format!("lib{name}.a"))),
    );
    link.args(["-Wl,--end-group", "-lpthread", "-o"]).arg(house.target.join(NEW_NNG));
    say_and_run(&mut link);
}

fn environment(house: &House) -> PathBuf {
    house.target.join("peers-venv")
}

/// True when it ended well. The person sees what it prints.
fn say_and_run(command: &mut Command) -> bool {
    println!("$ {}", crate::run::words(command));
    command.status().is_ok_and(|status| status.success())
}

const PEERS: &[Peer] = &[
    Peer { package: "nng-utils", sign: Sign::Program("nngcat") },
    Peer { package: "nanomsg-utils", sign: Sign::Program("nanocat") },
    Peer { package: "libnng-dev", sign: Sign::Header("nng/nng.h") },
    Peer { package: "libnanomsg-dev", sign: Sign::Header("nanomsg/nn.h") },
    Peer { package: "strace", sign: Sign::Program("strace") },
    Peer { package: "valgrind", sign: Sign::Program("valgrind") },
    Peer { package: "chromium", sign: Sign::Program("chromium") },
    Peer { package: "nodejs", sign: Sign::Program("node") },
    Peer { package: "node-typescript", sign: Sign::Program("tsc") },
];

/// Those of the benchmark that are not compiled by cargo, and what cargo needs to compile NNG.
const BENCH_PEERS: &[Peer] = &[
    Peer { package: "libzmq5", sign: Sign::Library("libzmq.so.5") },
    Peer { package: "libnanomsg5", sign: Sign::Library("libnanomsg.so.5") },
    Peer { package: "nats-server", sign: Sign::Program("nats-server") },
    Peer { package: "cmake", sign: Sign::Program("cmake") },
];

/// Where NNG 1.12 is kept, below the target directory.
const NEW_NNG: &str = "peers-nng/libnng.so";

/// The series that carries NNG 1.11.
const PYNNG: &str = "pynng~=0.9.0";
