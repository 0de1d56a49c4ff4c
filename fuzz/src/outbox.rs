//! Sequences of operations on an outbox, against a list of frames.

use arbitrary::{Result, Unstructured};
use spanwire_core::Message;
use spanwire_core::framing::sp::Framing;
use spanwire_core::session::outbox::Outbox;

/// The wire sees exactly the frames that were not dropped.
///
/// # Panics
///
/// It does not.
pub fn outbox_ops(data: &[u8]) {
    // Running out of input ends the sequence; that is no error.
    let _ = run(&mut Unstructured::new(data));
}

/// The model copies all it holds at each write; with more, an input would take too long.
const MAX_FRAMES: usize = 24;

/// What the wire has to see.
struct Model {
    framing: Framing,
    /// Frames that are not written whole.
    frames: Vec<Vec<u8>>,
    /// Bytes of the first one that are.
    head: usize,
    next: u8,
}

fn run(input: &mut Unstructured) -> Result<()> {
    let framing = if input.arbitrary()? { Framing::Ipc } else { Framing::Tcp };
    let mut outbox = Outbox::new(framing);
    let mut model = Model { framing, frames: Vec::new(), head: 0, next: 0 };
    while !input.is_empty() {
        match input.int_in_range(0..=4)? {
            0 if model.frames.len() < MAX_FRAMES => outbox.push(&mut model.push(input)?),
            0 => {}
            1 => {
                let at = usize::from(model.head > 0);
                let expected = (at < model.frames.len()).then(|| model.frames.remove(at));
                let expected = expected.map(|frame| frame.len() - framing.prefix_bytes());
                assert_eq!(outbox.drop_oldest(), expected);
            }
            2 => write(&mut outbox, &mut model, input)?,
            3 => _ = outbox.trim(),
            _ => {
                check_unsent(&mut outbox, &model);
                (model.frames, model.head) = (Vec::new(), 0);
            }
        }
        outbox.check_invariants();
        assert_eq!(outbox.messages(), model.frames.len());
        let bytes: usize = model.frames.iter().map(Vec::len).sum();
        assert_eq!(outbox.waiting_bytes() + model.head, bytes);
    }
    check_unsent(&mut outbox, &model);
    Ok(())
}

/// The connection is lost: what was not written whole comes back, header and body joined.
fn check_unsent(outbox: &mut Outbox, model: &Model) {
    let prefix_bytes = model.framing.prefix_bytes();
    let unsent: Vec<_> = outbox.unsent().iter().map(|message| message.body().to_vec()).collect();
    let expected: Vec<_> = model.frames.iter().map(|frame| frame[prefix_bytes..].to_vec()).collect();
    assert_eq!(unsent, expected);
}

/// One writer: takes a batch, writes some of it in one or more calls, while others may push.
fn write(outbox: &mut Outbox, model: &mut Model, input: &mut Unstructured) -> Result<()> {
    let wire = model.frames.concat().split_off(model.head);
    let taken = model.frames.len();
    let mut batch = outbox.take();
    let mut written = 0;
    for _ in 0..input.int_in_range(0..=3)? {
        let max_bytes = usize::from(input.arbitrary::<u16>()?);
        let mut pieces = [&b""[..]; 3];
        let (count, total) = batch.slices(&mut pieces, max_bytes, |piece| piece);
        let bytes = pieces[..count].concat();
        assert_eq!(bytes.len(), total);
        assert!(total <= max_bytes && pieces[..count].iter().all(|piece| !piece.is_empty()));
        assert_eq!(bytes, wire[written..][..total]);
        // The kernel may take less than it was offered.
        let accepted = total.min(usize::from(input.arbitrary::<u16>()?));
        batch.advance(accepted);
        written += accepted;
        if input.arbitrary()? && model.frames.len() < MAX_FRAMES {
            outbox.push(&mut model.push(input)?);
        }
        if taken > 0 {
            assert_eq!(outbox.drop_oldest(), None, "a writer has them");
        }
        outbox.check_invariants();
    }
    let flushed = outbox.settle(batch, written);
    model.head += written;
    let (mut messages, mut bytes) = (0, 0);
    while messages < taken && model.frames[0].len() <= model.head {
        let frame = model.frames.remove(0);
        model.head -= frame.len();
        messages += 1;
        bytes += frame.len() - model.framing.prefix_bytes();
    }
    assert_eq!((flushed.messages, flushed.bytes), (messages, bytes));
    Ok(())
}

impl Model {
    /// The next message: small, about as large as what is copied, or larger than a buffer.
    fn push(&mut self, input: &mut Unstructured) -> Result<Message> {
        let size = usize::from(input.arbitrary::<u8>()?);
        let size = match input.int_in_range(0..=3)? {
            0 | 1 => size,
            2 => 3_990 + size,
            _ => size * 300,
        };
        let header_bytes = 4 * input.int_in_range(0..=6)?;
        self.next = self.next.wrapping_add(1);
        let (header, body) = (vec![!self.next; header_bytes], vec![self.next; size]);
        let payload = [header.clone(), body.clone()].concat();
        let prefix = self.framing.encode_prefix(payload.len() as u64);
        self.frames.push([&prefix[..self.framing.prefix_bytes()], &payload].concat());
        Ok(Message::with_header(&header[..], body))
    }
}
