//! Whatever programs and peers do.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_cut_whole_messages_come_out(
        sizes in prop::collection::vec((0_usize..4, prop_oneof![0_usize..40, 60_000_usize..300_000]), 1..12),
        cuts in prop::collection::vec(prop_oneof![1_usize..9, 1_000_usize..100_000], 1..6),
    ) {
        let options = LinkOptions { send_bytes: 8 << 20, ..LinkOptions::default() };
        let mut pair = Pair::with(options, &cuts);
        pair.cuts = cuts.iter().map(|cut| (*cut).max(100)).collect();
        let mut sent: [Vec<(u16, usize)>; 4] = Default::default();
        for (n, (lane, size)) in sizes.iter().enumerate() {
            let parcel = Parcel::new(*lane as u16, n as u16, vec![n as u8; *size]).at(Priority::ALL[*lane]);
            pair.ann.send(parcel).unwrap();
            sent[*lane].push((n as u16, *size));
        }
        pair.run();
        let mut got: [Vec<(u16, usize)>; 4] = Default::default();
        for parcel in pair.bob.received() {
            prop_assert!(parcel.body.iter().all(|byte| *byte == parcel.message as u8));
            got[usize::from(parcel.protocol)].push((parcel.message, parcel.body.len()));
        }
        prop_assert_eq!(got, sent, "in order within each priority");
    }

    /// Whatever programs do, nobody breaks the rules, and everything is accounted for.
    #[test]
    fn two_machines_never_break_the_rules(
        ops in prop::collection::vec((0_u8..14, any::<bool>(), 0_usize..5_000), 0..200),
        cuts in prop::collection::vec(1_usize..5_000, 1..5),
    ) {
        let options = LinkOptions {
            recv_messages: 3, recv_bytes: 4_000, send_messages: 4, chunk_bytes: 1_024, streams: 2,
            stream_bytes: 1_500, requests: 2, calls: 3, max_message_bytes: 4_500,
            ..LinkOptions::default()
        };
        let mut pair = Pair::with(options, &cuts);
        let mut open: [Vec<u32>; 2] = Default::default();
        let mut reading: [Vec<u32>; 2] = Default::default();
        let mut asking: [Vec<u64>; 2] = Default::default();
        let mut working: [Vec<u64>; 2] = Default::default();
        let mut taken = [0_u64; 2];
        for (op, who, size) in ops {
            let n = usize::from(who);
            let side = if who { &mut pair.ann } else { &mut pair.bob };
            let now = START;
            let priority = Priority::ALL[size % 4];
            match op {
                0 | 1 => drop(side.send(Parcel::from(vec![0; size]).at(priority))),
                2 => taken[n] += u64::from(side.link.recv().is_some()),
                3 => asking[n].extend(side.link.call(&mut vec![0; size].into(), now)),
                4 => if let Some((id, _)) = side.link.recv_request() {
                    taken[n] += 1;
                    working[n].push(id);
                },
                5 => if let Some(id) = working[n].pop() {
                    side.link.reply(id, priority, Ok(vec![0; size].into()), now);
                },
                6 => if let Some(id) = asking[n].last().copied() {
                    if side.link.answer(id).is_some() { asking[n].pop(); }
                },
                7 => if let Some(id) = asking[n].pop() { side.link.forget_call(id) },
                8 => open[n].extend(side.link.open_stream(&Parcel::from("").at(priority))),
                9 => if let Some(id) = open[n].last() {
                    let _ = side.link.write_stream(*id, &mut vec![0; size].into());
                },
                10 => if let Some(id) = open[n].pop() { side.link.end_stream(id, size % 2 == 0) },
                11 => reading[n].extend(side.link.recv_stream().map(|(id, _)| id)),
                12 => if let Some(id) = reading[n].last().copied() {
                    if matches!(side.link.read_stream(id), Piece::End | Piece::Aborted) || size % 7 == 0 {
                        side.link.drop_stream(id);
                        reading[n].pop();
                    }
                },
                _ => { pair.step(); }
            }
            for side in [&pair.ann, &pair.bob] {
                side.link.check_invariants();
                prop_assert_eq!(side.link.end(), None);
                // Its windows, one message over them, four messages in pieces that may double as they
                // grow, and no more.
                prop_assert!(side.link.held_bytes() <= 4_000 + 2 * 1_500 + 4_500 + 4 * 9_000);
            }
        }
        // Now all that was accepted gets through, as long as somebody takes it.
        pair.run();
        for side in [&mut pair.ann, &mut pair.bob] {
            side.link.close(Time::MAX);
        }
        pair.run();
        for (side, other) in [(&pair.ann, &pair.bob), (&pair.bob, &pair.ann)] {
            let (abandoned, confirmed) = side.link.account();
            let stats = side.link.stats();
            prop_assert!(side.left + abandoned <= stats.sent_messages);
            prop_assert!(confirmed.is_none_or(|had| had <= other.link.stats().received_messages));
        }
    }

    #[test]
    fn no_frames_make_it_panic(
        frames in prop::collection::vec((0_u16..20, prop::collection::vec(any::<u8>(), 0..40)), 1..30),
    ) {
        let mut pair = Pair::new();
        for (kind, payload) in frames {
            let head = Head { layer: if kind == 0 { Layer::Application } else { Layer::Session }, protocol: 0, message: kind };
            pair.bob.link.frame([&head.encode()[..], &payload].concat().into(), START);
            pair.bob.link.check_invariants();
            pair.bob.flush();
            pair.bob.link.recv_stream();
        }
    }
}
