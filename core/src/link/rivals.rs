//! Two hosts that dial each other at the same time, in every order in which their messages may arrive.

use super::{Claim, Hosts, claims_now};
use crate::framing::link::{Hello, Reason};
use crate::link::machine::State;
use crate::link::{End, Link, LinkOptions, Role, script};
use crate::time::Time;
use alloc::collections::VecDeque;
use bytes::Bytes;
use core::hash::BuildHasherDefault;
use proptest::prelude::*;

const NOW: Time = Time::from_nanos(1);

/// One of the two hosts: its ends of both connections, of which it has dialled the one with its number.
struct Node {
    number: usize,
    hosts: Hosts<(), BuildHasherDefault<script::Sums>>,
    links: [Link; 2],
    waits: [bool; 2],
    /// On their way to the other host.
    sent: [VecDeque<Bytes>; 2],
}

fn hello(number: usize) -> Hello {
    let hello = script::hello(["ann", "bob"][number], &LinkOptions::default());
    Hello { capabilities: Hello::ONE, instance: [number as u8; 16], ..hello }
}

impl Node {
    fn new(number: usize) -> Self {
        let link = |connection| {
            let role = if connection == number { Role::Dialer } else { Role::Acceptor };
            Link::new(role, hello(number), LinkOptions::default(), NOW)
        };
        let mut hosts = Hosts::default();
        (0..2).for_each(|connection| hosts.add(connection, ()));
        let mut node =
            Self { number, hosts, links: [link(0), link(1)], waits: [false; 2], sent: Default::default() };
        node.flush();
        node
    }

    fn flush(&mut self) {
        for (link, sent) in self.links.iter_mut().zip(&mut self.sent) {
            while let Some(frame) = link.next_frame() {
                sent.push_back([frame.message.header().as_slice(), frame.message.body()].concat().into());
            }
        }
    }

    /// As the hands do it.
    fn judge(&mut self, connection: usize) {
        self.waits[connection] = false;
        while let State::Judging { ack } = *self.links[connection].state() {
            let (ours, theirs) = (hello(self.number), hello(1 - self.number));
            let mut former = None;
            let dialed = connection == self.number;
            if claims_now(dialed, ack, &ours.instance, &theirs.instance) {
                let number = connection as u64;
                match self.hosts.claim(number, &theirs.host, &ours.instance, &theirs.instance) {
                    Claim::Granted => {}
                    Claim::Wait => {
                        self.waits[connection] = true;
                        return;
                    }
                    Claim::Duplicate(_) => {
                        self.links[connection].refuse(Reason::Duplicate, "");
                        break;
                    }
                    Claim::Replaces(number) => former = Some(number as usize),
                }
            }
            if ack {
                self.hosts.open(connection as u64, &theirs.host);
            }
            self.links[connection].go_on(Bytes::new(), NOW);
            if let Some(former) = former {
                self.links[former].refuse(Reason::Replaced, "");
            }
        }
        self.settle();
    }

    /// What is over is forgotten, and who has waited for it is judged again.
    fn settle(&mut self) {
        for connection in 0..2 {
            if self.links[connection].end().is_some() {
                self.hosts.remove(connection as u64);
            }
        }
        self.hosts.check_invariants();
        if let Some(waiting) = (0..2).find(|connection| self.waits[*connection]) {
            self.waits[waiting] = false;
            let rival_settled = !matches!(self.links[1 - waiting].state(), State::Confirming);
            match rival_settled {
                true => self.judge(waiting),
                false => self.waits[waiting] = true,
            }
        }
        self.flush();
    }

    fn open(&self) -> [bool; 2] {
        [self.links[0].is_open(), self.links[1].is_open()]
    }
}

/// Hands over what was sent first, on one connection, to the other host. Whether there was something.
fn deliver(nodes: &mut [Node; 2], from: usize, connection: usize) -> bool {
    // Who is being judged takes nothing until that is settled.
    let to = 1 - from;
    if matches!(nodes[to].links[connection].state(), State::Judging { .. }) {
        return false;
    }
    let Some(frame) = nodes[from].sent[connection].pop_front() else { return false };
    nodes[to].links[connection].frame(frame, NOW);
    nodes[to].judge(connection);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn two_that_dial_each_other_agree_on_one_and_are_never_without(
        picks in prop::collection::vec(0_usize..4, 0..40),
        lost in prop::option::of((0_usize..2, 0_usize..12)),
    ) {
        let mut nodes = [Node::new(0), Node::new(1)];
        let mut connected = false;
        let mut had_loss = false;
        for (turn, pick) in picks.into_iter().chain((0..64).map(|turn| turn % 4)).enumerate() {
            if let Some((connection, _)) = lost.filter(|(_, at)| *at == turn) {
                // A connection that nobody has yet may fail.
                let unused = nodes.iter().all(|node| !node.open()[connection]);
                if unused && !connected && nodes.iter().all(|node| node.links[1 - connection].end().is_none()) {
                    had_loss = true;
                    for node in &mut nodes {
                        node.sent[connection].clear();
                        node.links[connection].lost(End::Lost);
                        node.settle();
                    }
                }
            }
            deliver(&mut nodes, pick / 2, pick % 2);
            let (ann, bob) = (nodes[0].open(), nodes[1].open());
            connected |= (0..2).any(|connection| ann[connection] && bob[connection]);
            if connected {
                prop_assert!(ann.contains(&true) && bob.contains(&true), "a moment without: {:?} {:?}", ann, bob);
            }
        }
        let (ann, bob) = (nodes[0].open(), nodes[1].open());
        prop_assert_eq!(ann, bob, "they agree");
        prop_assert_eq!(ann.iter().filter(|open| **open).count(), 1, "loss: {}", had_loss);
    }
}
