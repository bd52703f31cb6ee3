//! Compresses one rotated file, a piece at a time.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use crate::family::Compressing;
use crate::{Family, LogError, Member};

/// Between two pieces there is time for what is more urgent.
const PIECE: usize = 32 << 10;

/// Fast, and with tables and a window that keep all of it under a megabyte. Logs repeat themselves
/// within a few lines: higher levels and larger windows make them hardly smaller.
const LEVEL: i32 = 1;
const WINDOW_LOG: u32 = 17;

/// Puts a compressed file in the member's place. False when that is not to be: the member is gone
/// or was written to, or `go_on` said no.
pub(super) fn compress(
    family: &Family,
    member: &Member,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<bool, LogError> {
    let Some(under_way) = family.compress(member)? else {
        return Ok(false);
    };
    match encode(&under_way, member.size, go_on) {
        Ok(true) => under_way.commit(),
        Ok(false) => Ok(false),
        Err(error) => Err(LogError::io("compress", &under_way.path(), error)),
    }
}

fn encode(
    under_way: &Compressing<'_>,
    size: u64,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<bool> {
    let mut encoder = Encoder::new(&under_way.part, LEVEL)?;
    for parameter in parameters() {
        encoder.set_parameter(parameter)?;
    }
    encoder.set_pledged_src_size(Some(size))?;
    let mut source = &under_way.source;
    let mut piece = vec![0; PIECE];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let count = source.read(&mut piece[..most])?;
        // Cut short by somebody, deleted, or there is no time any more.
        if count == 0 || under_way.source.metadata()?.nlink() == 0 || !go_on() {
            return Ok(false);
        }
        encoder.write_all(&piece[..count])?;
        left -= count as u64;
    }
    encoder.finish()?;
    Ok(true)
}

fn parameters() -> [CParameter; 3] {
    [
        CParameter::WindowLog(WINDOW_LOG),
        CParameter::ChecksumFlag(true),
        CParameter::ContentSizeFlag(true),
    ]
}

#[cfg(test)]
mod tests {
    use zstd::zstd_safe::{CCtx, InBuffer, OutBuffer};

    use super::*;

    #[test]
    fn the_encoder_stays_under_a_megabyte() {
        let mut context = CCtx::create();
        context
            .set_parameter(CParameter::CompressionLevel(LEVEL))
            .unwrap();
        for parameter in parameters() {
            context.set_parameter(parameter).unwrap();
        }
        context.set_pledged_src_size(Some(50_000_000)).unwrap();
        let text = b"a line of a log, again and again\n".repeat(10_000);
        let mut out = vec![0; 1 << 20];
        let mut input = InBuffer::around(&text);
        let mut output = OutBuffer::around(&mut out[..]);
        context.compress_stream(&mut output, &mut input).unwrap();
        let size = context.sizeof();
        assert!(size + PIECE < 1 << 20, "{size}");
    }
}
