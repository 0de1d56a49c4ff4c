//! Devices: messages find their way there and back, loops end, and a tap sees it all.

#[macro_use]
#[path = "support/everywhere.rs"]
mod everywhere;
mod support;

use spanwire::device::{Device, DeviceError, Direction};
use spanwire::{
    BusSocket, Dropped, Listener, Options, Pair1Socket, Protocol, PubSocket, RawSocket, RepSocket, ReqSocket,
    SubSocket,
};
use std::sync::Mutex;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A device between REQ and REP that serves `front` and listens for repliers in-process.
async fn queue(front: &str, back: &str) -> (Device<'static>, Listener, RawSocket, RawSocket) {
    let (rep, req) = (RawSocket::new(Protocol::Rep), RawSocket::new(Protocol::Req));
    let listener = rep.listen(front).await.unwrap();
    if back.is_empty() {
        return (Device::new(rep.clone(), req.clone()).unwrap(), listener, rep, req);
    }
    req.dial(back).await.unwrap();
    (Device::new(rep.clone(), req.clone()).unwrap(), listener, rep, req)
}

everywhere! {
    async fn requests_pass_and_replies_find_their_way_back(url: &str) {
        let (device, front, _rep, req) = queue(url, "").await;
        let back = req.listen("tcp://127.0.0.1:0").await.unwrap();
        let repliers = [RepSocket::new(), RepSocket::new()];
        for rep in &repliers {
            rep.dial(back.url()).await.unwrap();
        }
        let requesters = [ReqSocket::new(), ReqSocket::new(), ReqSocket::new()];
        for requester in &requesters {
            requester.dial(front.url()).await.unwrap();
        }
        let seen = Mutex::new((0, 0));
        let device = device.tap(|direction, message| {
            let mut seen = seen.lock().unwrap();
            assert!(!message.header().is_empty());
            match direction {
                Direction::Forth => seen.0 += 1,
                Direction::Back => seen.1 += 1,
            }
        });
        let serve = |rep: RepSocket| async move {
            while let Ok(request) = rep.recv().await {
                let answer = [&request[..], b"!"].concat();
                request.reply(answer).await.unwrap();
            }
        };
        let ask = async {
            for n in 0..20_u8 {
                for requester in &requesters {
                    assert_eq!(requester.request(vec![n]).await.unwrap()[..], [n, b'!']);
                }
            }
        };
        tokio::select! {
            why = device.run() => panic!("{why}"),
            () = serve(repliers[0].clone()) => unreachable!(),
            () = serve(repliers[1].clone()) => unreachable!(),
            () = ask => {}
        }
        drop(device);
        assert_eq!(seen.into_inner().unwrap(), (60, 60));
    }

    async fn a_message_makes_no_more_hops_than_it_may(url: &str) {
        // The id and one tag of a device are two; this replier accepts no more.
        let rep = RepSocket::with(Options { hop_limit: 2, ..Options::default() });
        let last = rep.listen("tcp://127.0.0.1:0").await.unwrap();
        let (near, near_at, ..) = queue("tcp://127.0.0.1:0", last.url()).await;
        let (far, far_at, ..) = queue(url, near_at.url()).await;
        let (one, two) = (ReqSocket::new(), ReqSocket::new());
        one.dial(near_at.url()).await.unwrap();
        two.dial(far_at.url()).await.unwrap();
        let serve = async {
            while let Ok(request) = rep.recv().await {
                request.reply("here").await.unwrap();
            }
        };
        let ask = async {
            assert_eq!(&one.request("over one").await.unwrap()[..], b"here");
            assert!(two.request_timeout("over two", SECOND / 2).await.is_err());
        };
        tokio::select! {
            why = near.run() => panic!("{why}"),
            why = far.run() => panic!("{why}"),
            () = serve => unreachable!(),
            () = ask => {}
        }
        assert_eq!(rep.stats().ledger.dropped(Dropped::HopLimit), 1);
    }

    async fn subscribers_hear_through_a_device(url: &str) {
        let publisher = PubSocket::new();
        let at = publisher.listen(url).await.unwrap();
        let (inner, outer) = (RawSocket::new(Protocol::Sub), RawSocket::new(Protocol::Pub));
        inner.dial(at.url()).await.unwrap();
        let out = outer.listen("tcp://127.0.0.1:0").await.unwrap();
        let subscriber = SubSocket::new();
        subscriber.subscribe("a");
        subscriber.dial(out.url()).await.unwrap();
        outer.wait_peers(1).await.unwrap();
        publisher.wait_peers(1).await.unwrap();
        let device = Device::new(inner, outer).unwrap();
        let work = async {
            for body in ["b", "a1", "c", "a2"] {
                publisher.send(body).await.unwrap();
            }
            assert_eq!(&subscriber.recv().await.unwrap()[..], b"a1");
            assert_eq!(&subscriber.recv().await.unwrap()[..], b"a2");
        };
        tokio::select! {
            why = device.run() => panic!("{why}"),
            () = work => {}
        }
    }

    async fn a_reflector_sends_everything_back(url: &str) {
        let mirror = RawSocket::new(Protocol::Pair1);
        let listener = mirror.listen(url).await.unwrap();
        let pair = Pair1Socket::new();
        pair.dial(listener.url()).await.unwrap();
        let device = Device::reflector(mirror.clone()).unwrap();
        let look = async {
            for n in 0..50_u8 {
                pair.send(vec![n]).await.unwrap();
                assert_eq!(pair.recv().await.unwrap()[..], [n]);
            }
            mirror.close(SECOND).await;
        };
        let (why, ()) = tokio::join!(device.run(), look);
        assert_eq!(why, DeviceError::Closed, "that is how a device ends");
    }

    async fn a_reflected_bus_is_a_hub(url: &str) {
        let hub = RawSocket::new(Protocol::Bus);
        let listener = hub.listen(url).await.unwrap();
        let members = [BusSocket::new(), BusSocket::new(), BusSocket::new()];
        for member in &members {
            member.dial(listener.url()).await.unwrap();
        }
        hub.wait_peers(3).await.unwrap();
        let device = Device::reflector(hub).unwrap();
        let talk = async {
            members[0].send("to all").await.unwrap();
            for member in &members[1..] {
                assert_eq!(&member.recv().await.unwrap()[..], b"to all");
            }
            assert!(members[0].try_recv().is_err(), "not back to its sender");
        };
        tokio::select! {
            why = device.run() => panic!("{why}"),
            () = talk => {}
        }
    }
}

#[tokio::test]
async fn sockets_that_do_not_belong_together_are_not_joined() {
    let raw = RawSocket::new;
    let joined = Device::new(raw(Protocol::Pub), raw(Protocol::Rep)).err();
    assert_eq!(joined, Some(DeviceError::Mismatch(Protocol::Pub, Protocol::Rep)));
    assert!(Device::reflector(raw(Protocol::Push)).is_err());
}
