//! Framing: whatever arrives, in whatever pieces.

use proptest::prelude::*;
use supervisor_protocol::frame::{Decoder, EncodeError, MAX, Oversize, encode};

fn all_frames(decoder: &mut Decoder) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("no frame is too long") {
        frames.push(frame.to_vec());
    }
    frames
}

#[test]
fn a_value_comes_back() {
    let bytes = encode(&"hello").unwrap();
    assert_eq!(bytes, b"\x07\0\0\0\"hello\"");
    let mut decoder = Decoder::new();
    decoder.push(&bytes);
    assert!(!decoder.is_between_frames());
    assert_eq!(decoder.next_frame().unwrap(), Some(&b"\"hello\""[..]));
    assert_eq!(decoder.next_frame().unwrap(), None);
    assert!(decoder.is_between_frames());
}

#[test]
fn the_largest_frame_passes_and_a_larger_one_does_not() {
    let text = "x".repeat(MAX - 2);
    let bytes = encode(&text).unwrap();
    let mut decoder = Decoder::new();
    decoder.push(&bytes);
    assert_eq!(decoder.next_frame().unwrap().map(<[u8]>::len), Some(MAX));

    let longer = "x".repeat(MAX - 1);
    assert!(matches!(encode(&longer), Err(EncodeError::TooLong(length)) if length == MAX + 1));
}

#[test]
fn a_length_over_the_limit_is_refused_at_once_and_for_good() {
    let mut decoder = Decoder::new();
    decoder.push(&[0xff; 4]);
    let oversize = Oversize {
        length: u32::MAX as usize,
    };
    assert_eq!(decoder.next_frame(), Err(oversize));
    decoder.push(&encode(&"hello").unwrap());
    assert_eq!(decoder.next_frame(), Err(oversize));
    assert!(!decoder.is_between_frames());

    let mut decoder = Decoder::new();
    decoder.push(&u32::try_from(MAX + 1).unwrap().to_le_bytes());
    assert_eq!(decoder.next_frame(), Err(Oversize { length: MAX + 1 }));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(pieces in proptest::collection::vec(any::<Vec<u8>>(), 0..20)) {
        let mut decoder = Decoder::new();
        let mut arrived = 0;
        for piece in pieces {
            decoder.push(&piece);
            arrived += piece.len();
            while let Ok(Some(frame)) = decoder.next_frame() {
                prop_assert!(frame.len() <= arrived);
            }
        }
    }

    #[test]
    fn split_at_every_position_gives_the_same_frames(
        texts in proptest::collection::vec(".{0,40}", 1..5),
    ) {
        let stream: Vec<u8> = texts.iter().flat_map(|text| encode(text).unwrap()).collect();
        let mut whole = Decoder::new();
        whole.push(&stream);
        let frames = all_frames(&mut whole);
        prop_assert_eq!(frames.len(), texts.len());
        for position in 0..=stream.len() {
            let mut decoder = Decoder::new();
            decoder.push(&stream[..position]);
            let mut split = all_frames(&mut decoder);
            decoder.push(&stream[position..]);
            split.extend(all_frames(&mut decoder));
            prop_assert_eq!(&split, &frames);
        }
        let mut decoder = Decoder::new();
        let mut bytewise = Vec::new();
        for byte in &stream {
            decoder.push(&[*byte]);
            bytewise.extend(all_frames(&mut decoder));
        }
        prop_assert_eq!(&bytewise, &frames);
    }
}
