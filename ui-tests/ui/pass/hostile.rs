//! Structs that try to confuse the derive: names of constants, generics, groups that may be missing, lists, values of all kinds.
#![deny(warnings)]
#![allow(non_upper_case_globals, dead_code)]
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;

use qemu_dsl::opts::{self, OptError, QemuOpts, ReadOpts, Rule};

// Patterns of these names would be constants.
const writer: u8 = 0;
const reader: u8 = 0;
const text: u8 = 0;
const value: u8 = 0;
const field_a: u8 = 0;
const key: u8 = 0;
static part: u8 = 0;

#[derive(QemuOpts, Debug, PartialEq)]
#[qemu(implied = "edu", read)]
struct Generic<T, U> {
    a: Option<T>,
    b: T,
    #[qemu(skip)]
    c: U,
    #[qemu(list)]
    list: Vec<T>,
}

#[derive(QemuOpts, Debug, PartialEq)]
#[qemu(tag = "type", read)]
enum GenericEnum<T> {
    Unix { path: T },
    None,
}

#[derive(QemuOpts, Debug, PartialEq)]
#[qemu(read)]
struct Values {
    writer: usize,
    reader: NonZeroU32,
    value: char,
    key: IpAddr,
    shared: Arc<String>,
    counted: Rc<u8>,
    boxed: Box<str>,
    r#type: isize,
    __qemu_writer: bool,
    #[qemu(flatten, prefix = "g.")]
    group: Option<Group>,
}

#[derive(QemuOpts, Debug, PartialEq)]
#[qemu(read)]
struct Group {
    x: Option<u8>,
}

mod inner {
    /// Nothing but what is written out is in scope here.
    #[derive(::qemu_dsl::opts::QemuOpts, Debug)]
    #[qemu(implied = "edu", build)]
    pub(crate) struct Built<'a, T: Copy, const N: usize>
    where
        T: ::qemu_dsl::opts::OptValue,
    {
        /// One.
        #[cfg(not(target_os = "none"))]
        self_: T,
        #[cfg(target_os = "none")]
        gone: u8,
        #[qemu(with = |t: &'a (impl AsRef<str> + ?Sized)| t.as_ref())]
        text: &'a str,
        #[qemu(range = 1..=N as u32)]
        r#in: Option<u32>,
        #[qemu(default = 7)]
        preset: u8,
        #[qemu(conflicts = "preset")]
        maybe: Option<bool>,
        #[qemu(needs = "in")]
        behind: ::core::option::Option<bool>,
        #[qemu(list)]
        names: Vec<&'a str>,
        #[qemu(skip)]
        hidden: u8,
        /// Old.
        #[deprecated]
        old: Option<u8>,
    }
}

fn said<T: QemuOpts>(opts: &T) -> String {
    String::from_utf8(opts::to_text(opts).unwrap()).unwrap()
}

fn main() {
    let generic = Generic { a: Some(1_u8), b: 2, c: 3_u64, list: vec![4, 5] };
    assert_eq!(said(&generic), "edu,a=1,b=2,list.0=4,list.1=5");
    assert_eq!(Generic::<u8, u64>::read_opts(said(&generic).as_bytes()).unwrap(), Generic { c: 0, ..generic });
    let unix = GenericEnum::Unix { path: "a,b".to_owned() };
    assert_eq!(GenericEnum::read_opts(said(&unix).as_bytes()), Ok(unix));

    let mut values = Values {
        writer: 1,
        reader: NonZeroU32::MIN,
        value: ',',
        key: "::1".parse().unwrap(),
        shared: Arc::new("s".into()),
        counted: Rc::new(2),
        boxed: "b".into(),
        r#type: -3,
        __qemu_writer: true,
        group: None,
    };
    let before = said(&values);
    assert_eq!(
        before,
        "writer=1,reader=1,value=,,,key=::1,shared=s,counted=2,boxed=b,type=-3,qemu-writer=on"
    );
    assert_eq!(Values::read_opts(before.as_bytes()).unwrap(), values);
    values.group = Some(Group { x: Some(1) });
    assert_eq!(said(&values), before + ",g.x=1");
    assert_eq!(Values::read_opts(said(&values).as_bytes()).unwrap(), values);

    let built = || inner::Built::<_, 4>::new(1_u8, "t");
    assert_eq!(said(&built().r#in(4).preset(9).names("x").names("y")), "edu,self=1,text=t,in=4,preset=9,names.0=x,names.1=y");
    for wrong in [built().r#in(5), built().r#in(0), built().maybe(true), built().behind(true)] {
        assert!(matches!(opts::to_text(&wrong), Err(OptError::Value { .. })), "{wrong:?}");
    }
    assert!(opts::to_text(&built().r#in(1).behind(true)).is_ok());
    let schema = <inner::Built<'_, u8, 4> as QemuOpts>::SCHEMA;
    let field = schema.fields().find(|field| field.key.name == "in").unwrap();
    assert_eq!(field.rules().collect::<Vec<_>>(), [Rule::Range { from: 1, to: 4 }]);
    assert!(schema.fields().find(|field| field.key.name == "self").unwrap().is_required && !field.is_required);
}
