//! The machine: descriptors that run out, socket files in the way, names that change.

use crate::support::{Bed, Place, Stranger, child, close_all, event, is_child, run, soon, until};
use spanwire::{
    DialError, DialOptions, EndpointState, Event, ListenError, Listener, Protocol, PullSocket, PushSocket,
    Start,
};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// Receives what an honest peer sends.
async fn serves(push: &PushSocket, pull: &PullSocket) {
    push.send("still here").await.unwrap();
    assert_eq!(&soon("a job", pull.recv()).await.unwrap()[..], b"still here");
}

fn persistent() -> DialOptions {
    DialOptions {
        start: Start::Background,
        reconnect_min: Duration::from_millis(1),
        reconnect_max: Duration::from_millis(20),
        ..DialOptions::default()
    }
}

#[tokio::test]
async fn accept_without_descriptors_backs_off_and_recovers() {
    if !is_child() {
        // A process of its own: everything in it lives on few descriptors for a while.
        return run(child(&[], "machine::accept_without_descriptors_backs_off_and_recovers"));
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let bed = Bed::new();
    let pull = PullSocket::new();
    let mut events = pull.events();
    let listener = pull.listen("tcp://127.0.0.1:0").await.unwrap();
    let push = PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    serves(&push, &pull).await;

    // Sockets for the strangers, made while there are descriptors; then all others are used up.
    let strangers: Vec<_> = (0..4).map(|_| TcpSocket::new_v4().unwrap()).collect();
    let generous = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), ..generous }).unwrap();
    let mut files = Vec::new();
    let full = loop {
        match fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => break error,
        }
    };
    assert_eq!(io::Error::from(rustix::io::Errno::MFILE).kind(), full.kind());

    let started = Instant::now();
    let mut waiting = Vec::new();
    for stranger in strangers {
        let address = listener.local_addr().unwrap();
        waiting.push(Stranger::over_tcp(soon("a connection", stranger.connect(address)).await.unwrap()));
    }
    // It is told of each attempt, and they come more and more slowly: 5 + 10 + 20 + 40 ms of waiting.
    for _ in 0..5 {
        event(&mut events, "a failed accept", |event| match event {
            Event::AcceptFailed { url, .. } => {
                assert_eq!(**url, *listener.url());
                Some(())
            }
            _ => None,
        })
        .await;
        serves(&push, &pull).await;
    }
    assert!(started.elapsed() >= Duration::from_millis(75), "no busy loop");
    assert_eq!(listener.state(), EndpointState::Listening);
    assert!(listener.stats().failures >= 5);
    assert!(listener.last_error().is_some());

    // Once there are descriptors again, whoever waited is served.
    drop(files);
    for mut stranger in waiting {
        stranger.greet(Protocol::Push).await;
        stranger.frame(b"at last").await;
        assert_eq!(&soon("its job", pull.recv()).await.unwrap()[..], b"at last");
    }
    serves(&push, &pull).await;
    close_all!(push, pull);
    bed.ends_clean().await;
}

#[tokio::test]
async fn stale_ipc_path_is_taken_over() {
    let bed = Bed::new();
    let place = Place::new();
    // What a process that was killed leaves behind.
    drop(std::os::unix::net::UnixListener::bind(place.path()).unwrap());
    assert!(fs::metadata(place.path()).unwrap().file_type().is_socket());
    let pull = PullSocket::new();
    let listener = pull.listen(&place.url()).await.unwrap();
    let push = PushSocket::new();
    push.dial(listener.url()).await.unwrap();
    serves(&push, &pull).await;

    // One behind which somebody listens is not stale; to look does that listener no harm.
    let other = PullSocket::new();
    let error = other.listen(&place.url()).await.unwrap_err();
    assert!(matches!(&error, ListenError::Bind { error, .. } if error.kind() == io::ErrorKind::AddrInUse));
    assert!(error.is_transient());
    serves(&push, &pull).await;
    let foreign = std::os::unix::net::UnixListener::bind(place.folder().join("foreign")).unwrap();
    let url = format!("ipc://{}", place.folder().join("foreign").display());
    assert!(other.listen(&url).await.is_err());
    drop(foreign);

    close_all!(push, pull, other);
    assert!(!place.path().exists(), "the file goes with the listener");
    bed.ends_clean().await;
}

#[tokio::test]
async fn foreign_ipc_path_is_left_alone() {
    let bed = Bed::new();
    let place = Place::new();
    let pull = PullSocket::new();
    let refused = async |what: &str| {
        let error = pull.listen(&place.url()).await.unwrap_err();
        assert!(matches!(error, ListenError::Bind { .. }), "{what}: {error}");
        assert!(error.to_string().contains(&place.url()), "{error}");
        assert!(place.path().symlink_metadata().is_ok(), "{what} is still there");
    };
    fs::write(place.path(), "somebody's thesis").unwrap();
    refused("a file").await;
    assert_eq!(fs::read(place.path()).unwrap(), b"somebody's thesis");
    fs::remove_file(place.path()).unwrap();

    fs::create_dir(place.path()).unwrap();
    refused("a folder").await;
    fs::remove_dir(place.path()).unwrap();

    // Where it points to is not looked at, be it a stale socket or nothing.
    let stale = place.folder().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    symlink(&stale, place.path()).unwrap();
    refused("a link").await;
    assert!(stale.exists());
    fs::remove_file(place.path()).unwrap();

    if rustix::process::geteuid().is_root() {
        fs::rename(&stale, place.path()).unwrap();
        std::os::unix::fs::chown(place.path(), Some(12_345), None).unwrap();
        refused("a stale socket of somebody else").await;
        fs::remove_file(place.path()).unwrap();
    }

    // A file that took the place of ours since we made it is not ours to remove.
    pull.listen(&place.url()).await.unwrap();
    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), "not a socket").unwrap();
    close_all!(pull);
    assert_eq!(fs::read(place.path()).unwrap(), b"not a socket");
    bed.ends_clean().await;
}

#[tokio::test]
async fn unwritable_ipc_path_is_an_error_that_names_it() {
    let bed = Bed::new();
    let place = Place::new();
    let pull = PullSocket::new();
    let locked = place.folder().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    let mut paths = vec![place.folder().join("no-such-folder/socket"), Path::new("/proc/socket").into()];
    // Nothing is locked for root.
    if !rustix::process::geteuid().is_root() {
        paths.push(locked.join("socket"));
    }
    for path in paths {
        let error = pull.listen(&format!("ipc://{}", path.display())).await.unwrap_err();
        assert!(matches!(error, ListenError::Bind { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(!error.is_transient());
    }
    let long = format!("ipc://{}/{}", place.folder().display(), "x".repeat(108));
    let error = pull.listen(&long).await.unwrap_err();
    assert!(error.to_string().contains("xxx"), "{error}");
    // A socket that failed to listen somewhere can still listen elsewhere.
    let push = PushSocket::new();
    push.dial(pull.listen(&place.url()).await.unwrap().url()).await.unwrap();
    serves(&push, &pull).await;
    close_all!(push, pull);
    bed.ends_clean().await;
}

#[tokio::test]
async fn name_that_does_not_resolve_is_tried_again_and_told() {
    const NOBODY: &str = "tcp://nobody.invalid:7";
    let bed = Bed::new();
    let push = PushSocket::new();
    let mut events = push.events();
    let pull = PullSocket::new();
    push.dial(pull.listen("tcp://127.0.0.1:0").await.unwrap().url()).await.unwrap();
    let error = soon("an answer", push.dial(NOBODY)).await.unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
    assert!(error.to_string().contains(NOBODY), "{error}");
    assert!(error.is_transient(), "names come and go");

    let dialer = push.dial_with(NOBODY, persistent()).await.unwrap();
    for attempt in 1..=3 {
        let told = event(&mut events, "a failed attempt", |event| match event {
            Event::DialFailed { url, error } if **url == *NOBODY => Some(error.clone()),
            _ => None,
        });
        assert!(!told.await.is_empty());
        assert!(dialer.stats().failures >= attempt);
        serves(&push, &pull).await;
    }
    assert!(dialer.last_error().is_some());
    assert_ne!(dialer.state(), EndpointState::Connected);
    dialer.close();
    assert_eq!(dialer.state(), EndpointState::Closed);
    close_all!(push, pull);
    bed.ends_clean().await;
}

/// The file that is this child's table of names, in a mount of its own.
const HOSTS: &str = "SPANWIRE_FAULT_HOSTS";

#[tokio::test]
async fn name_whose_addresses_change_is_resolved_again() {
    if is_child() {
        return moving_name().await;
    }
    let place = Place::new();
    let hosts = place.folder().join("hosts");
    fs::write(&hosts, "").unwrap();
    let mount = r#"mount --bind "$SPANWIRE_FAULT_HOSTS" /etc/hosts && exec "$@""#;
    let private = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh"];
    let mut probe = std::process::Command::new(private[0]);
    let allowed = probe.args(&private[1..]).arg("true").env(HOSTS, &hosts).output();
    if allowed.is_ok_and(|output| output.status.success()) {
        let mut command = child(&private, "machine::name_whose_addresses_change_is_resolved_again");
        command.env(HOSTS, &hosts);
        run(command);
    } else {
        moving_listener().await;
    }
}

/// A listener at an address that another one may have had a moment ago.
async fn listen(pull: &PullSocket, ip: &str, port: u16) -> Listener {
    let url = if ip.contains(':') { format!("tcp://[{ip}]:{port}") } else { format!("tcp://{ip}:{port}") };
    pull.listen(&url).await.unwrap()
}

async fn moving_name() {
    let hosts = std::env::var(HOSTS).unwrap();
    let moves_to = |ips: &[&str]| {
        let lines: String = ips.iter().map(|ip| format!("{ip} moving.test\n")).collect();
        fs::write(&hosts, lines).unwrap();
    };
    let bed = Bed::new();
    let pull = PullSocket::new();
    moves_to(&["127.0.0.1"]);
    let mut listener = listen(&pull, "127.0.0.1", 0).await;
    let port = listener.local_addr().unwrap().port();
    let push = PushSocket::new();
    let mut events = push.events();
    let dialer = push.dial_with(&format!("tcp://moving.test:{port}"), persistent()).await.unwrap();
    serves(&push, &pull).await;
    let steps: [(&[&str], &str); 5] = [
        (&["127.0.0.2"], "127.0.0.2"),
        // All addresses are tried, in whatever order they are told.
        (&["127.0.0.2", "::1"], "::1"),
        (&["127.0.0.3", "::1"], "127.0.0.3"),
        (&["127.0.0.1"], "127.0.0.1"),
        (&[], "127.0.0.4"),
    ];
    for (ips, listens) in steps {
        listener.close();
        until("the old place is left", || push.peers().is_empty()).await;
        while events.try_next().is_some() {}
        moves_to(ips);
        event(&mut events, "nobody is there", |event| {
            matches!(event, Event::DialFailed { .. }).then_some(())
        })
        .await;
        listener = listen(&pull, listens, port).await;
        // A name that was gone altogether comes back.
        if ips.is_empty() {
            moves_to(&[listens]);
        }
        serves(&push, &pull).await;
        assert_eq!(dialer.state(), EndpointState::Connected);
    }
    close_all!(push, pull);
    bed.ends_clean().await;
}

/// Where nobody may have a table of names of his own: the listener moves between the addresses that
/// `localhost` has.
async fn moving_listener() {
    let bed = Bed::new();
    let pull = PullSocket::new();
    let found = tokio::net::lookup_host(("localhost", 0)).await.unwrap();
    let ips: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    let mut listener = listen(&pull, &ips[0], 0).await;
    let port = listener.local_addr().unwrap().port();
    let push = PushSocket::new();
    push.dial_with(&format!("tcp://localhost:{port}"), persistent()).await.unwrap();
    for ip in ips.iter().cycle().take(4) {
        listener.close();
        until("the old place is left", || push.peers().is_empty()).await;
        listener = listen(&pull, ip, port).await;
        serves(&push, &pull).await;
    }
    close_all!(push, pull);
    bed.ends_clean().await;
}
