//! The programs run wherever glibc 2.35 is, and need nothing else.

use std::fs;
use std::path::Path;

use object::LittleEndian;
use object::elf::{DT_NEEDED, FileHeader64, SHT_DYNAMIC};
use object::read::elf::{Dyn as _, FileHeader as _, SectionHeader as _};
use supervisor_tests::programs;

/// Of Ubuntu 22.04, the oldest system that is meant.
const GLIBC: (u32, u32) = (2, 35);

type Elf = FileHeader64<LittleEndian>;

/// What a program asks of the machine.
struct Needs {
    /// Libraries.
    libraries: Vec<String>,
    /// Versions of their symbols, such as `GLIBC_2.34`.
    versions: Vec<String>,
}

fn needs(program: &Path) -> Needs {
    let data = fs::read(program).expect("it is there");
    let data = data.as_slice();
    let elf = Elf::parse(data).expect("a 64-bit ELF program");
    let endian = elf.endian().expect("little-endian");
    let sections = elf.sections(endian, data).expect("sections");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let dynamic = sections
        .iter()
        .find(|section| section.sh_type(endian) == SHT_DYNAMIC)
        .expect("linked dynamically");
    let (entries, strings) = dynamic
        .dynamic(endian, data)
        .expect("readable")
        .expect("there");
    let strings = sections.strings(endian, data, strings).expect("strings");
    let libraries = entries
        .iter()
        .filter(|entry| entry.d_tag(endian) == DT_NEEDED)
        .map(|entry| text(entry.string(endian, strings).expect("a name")))
        .collect();

    let (mut needed, strings) = sections
        .gnu_verneed(endian, data)
        .expect("readable")
        .expect("there");
    let strings = sections.strings(endian, data, strings).expect("strings");
    let mut versions = Vec::new();
    while let Some((_, mut names)) = needed.next().expect("readable") {
        while let Some(name) = names.next().expect("readable") {
            versions.push(text(name.name(endian, strings).expect("a name")));
        }
    }
    Needs {
        libraries,
        versions,
    }
}

fn is_old_enough(version: &str) -> bool {
    let Some(number) = version.strip_prefix("GLIBC_") else {
        // libgcc's, which comes with every glibc since long before.
        return version.starts_with("GCC_");
    };
    let mut parts = number.split('.').map(str::parse);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) <= GLIBC)
}

#[test]
fn nothing_newer_than_glibc_2_35_and_nothing_else() {
    const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux"];
    for program in [programs::supervisor(), programs::supervisorctl()] {
        let Needs {
            libraries,
            versions,
        } = needs(&program);
        assert!(
            libraries.iter().any(|name| name == "libc.so.6"),
            "{libraries:?}"
        );
        assert!(
            versions.iter().any(|name| name.starts_with("GLIBC_2.")),
            "{versions:?}"
        );
        let other: Vec<_> = libraries
            .iter()
            .filter(|name| !LIBRARIES.iter().any(|known| name.starts_with(known)))
            .collect();
        assert!(other.is_empty(), "{} needs {other:?}", program.display());
        let newer: Vec<_> = versions
            .iter()
            .filter(|name| !is_old_enough(name))
            .collect();
        assert!(newer.is_empty(), "{} needs {newer:?}", program.display());
    }
}

#[test]
fn versions_are_compared_as_numbers() {
    for old in ["GLIBC_2.2.5", "GLIBC_2.35", "GLIBC_2.9", "GCC_3.0"] {
        assert!(is_old_enough(old), "{old}");
    }
    for new in [
        "GLIBC_2.36",
        "GLIBC_2.100",
        "GLIBC_3.0",
        "GLIBC_PRIVATE",
        "OPENSSL_3.0.0",
    ] {
        assert!(!is_old_enough(new), "{new}");
    }
}
