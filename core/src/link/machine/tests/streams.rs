//! Messages of any length.

use super::*;

#[test]
fn a_stream_of_any_length_holds_no_more_than_its_window() {
    let options = LinkOptions { stream_bytes: 100_000, ..LinkOptions::default() };
    let mut pair = Pair::with(options, &[50_000, 3]);
    let transfer = pair.ann.link.open_stream(&Parcel::new(3, 4, "")).unwrap();
    let (mut to_send, mut got, mut receiving) = (5_000_000_usize, 0_usize, None);
    let mut ended = false;
    while !ended {
        let mut data = Bytes::from(vec![1; to_send.min(30_000)]);
        while !data.is_empty() && pair.ann.link.write_stream(transfer, &mut data).is_ok() {}
        to_send -= to_send.min(30_000) - data.len();
        if to_send == 0 {
            pair.ann.link.end_stream(transfer, true);
        }
        pair.run();
        assert!(pair.bob.link.held_bytes() <= 100_000);
        if let Some((transfer, head)) = pair.bob.link.recv_stream() {
            assert_eq!((head.protocol, head.message), (3, 4));
            receiving = Some(transfer);
        }
        let Some(transfer) = receiving else { continue };
        loop {
            match pair.bob.link.read_stream(transfer) {
                Piece::Data(data) => got += data.len(),
                Piece::Nothing => break,
                Piece::End => {
                    pair.bob.link.drop_stream(transfer);
                    ended = true;
                    break;
                }
                Piece::Aborted => panic!("aborted"),
            }
        }
    }
    assert_eq!(got, 5_000_000);
    assert!(!pair.ann.link.stream_stopped(transfer), "not yet told");
    pair.run();
    assert!(pair.ann.link.stream_stopped(transfer) && pair.ann.link.outgoing.is_empty());
}

#[test]
fn a_stream_that_nobody_wants_is_stopped_and_one_given_up_is_aborted() {
    let mut pair = Pair::with(LinkOptions { streams: 1, ..LinkOptions::default() }, &[usize::MAX]);
    let unwanted = pair.ann.link.open_stream(&Parcel::from("")).unwrap();
    assert_eq!(pair.ann.link.open_stream(&Parcel::from("")), Err(NotSent::Full));
    pair.run();
    let (transfer, _) = pair.bob.link.recv_stream().unwrap();
    pair.bob.link.drop_stream(transfer);
    pair.run();
    assert_eq!(pair.ann.link.write_stream(unwanted, &mut "x".into()), Err(NotSent::Over));
    let given_up = pair.ann.link.open_stream(&Parcel::from("")).unwrap();
    pair.ann.link.write_stream(given_up, &mut "begun".into()).unwrap();
    pair.ann.link.end_stream(given_up, false);
    pair.run();
    let (transfer, _) = pair.bob.link.recv_stream().unwrap();
    assert_eq!(pair.bob.link.read_stream(transfer), Piece::Data("begun".into()));
    assert_eq!(pair.bob.link.read_stream(transfer), Piece::Aborted);
    pair.bob.link.drop_stream(transfer);
    pair.run();
    assert!(pair.ann.link.outgoing.is_empty() && pair.ann.link.open_stream(&Parcel::from("")).is_ok());
}
