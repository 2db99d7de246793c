//! The outputs of parents, which a body receives in the order of its parents.

use serde_json::value::RawValue;

use sealed::Reader;

use super::{erased::ParentLink, handle::Handle};
use crate::hatchet::{
    task::{
        AttemptInput, Payload,
        erased::{DecodeFn, decode},
    },
    wire::is_skipped,
};

/// The parents of a task: `&Handle<A>`, or a tuple of 2 to 8 of them. Their outputs are an `A`, or a tuple of outputs.
/// A slice `&[Handle<A>]` has a `Vec<A>`.
///
/// A parent that may be skipped is passed as [`Handle::optional`], and its output is an `Option<A>`.
pub trait Parents<'f>: sealed::ReadOutputs<'f> {}

impl<'f, P: sealed::ReadOutputs<'f>> Parents<'f> for P {}

pub(super) mod sealed {
    use std::sync::Arc;

    use super::{AttemptInput, DecodeFn, ParentLink};

    /// A function that reads the outputs of parents.
    #[allow(missing_debug_implementations, reason = "not reachable from outside")]
    pub struct Reader<T>(pub(in crate::hatchet::task) DecodeFn<T>);

    impl<T> Reader<T> {
        pub(super) fn new(read: impl Fn(&AttemptInput) -> Result<T, String> + Send + Sync + 'static) -> Self {
            Self(Arc::new(read))
        }
    }

    /// Reads the outputs of parents from the data of an attempt.
    pub trait ReadOutputs<'f> {
        /// The argument of a body.
        type Outputs: Send + 'static;

        /// The parents of the task.
        fn links(&self) -> Vec<ParentLink>;

        /// A function that reads the outputs.
        fn reader(&self) -> Reader<Self::Outputs>;
    }
}

impl<'f, O: Payload> sealed::ReadOutputs<'f> for &Handle<'f, O> {
    type Outputs = O;

    fn links(&self) -> Vec<ParentLink> {
        vec![self.link()]
    }

    fn reader(&self) -> Reader<O> {
        let name = self.name().to_owned();
        Reader::new(move |input| read_output(&name, input))
    }
}

impl<'f, O: Payload> sealed::ReadOutputs<'f> for &[Handle<'f, O>] {
    type Outputs = Vec<O>;

    fn links(&self) -> Vec<ParentLink> {
        self.iter().map(Handle::link).collect()
    }

    fn reader(&self) -> Reader<Vec<O>> {
        let names: Vec<String> = self.iter().map(|handle| handle.name().to_owned()).collect();
        Reader::new(move |input| names.iter().map(|name| read_output(name, input)).collect())
    }
}

/// Implements [`Parents`] for a tuple.
macro_rules! impl_tuple {
    ($($type:ident $parent:ident),+) => {
        impl<'f, $($type: Payload),+> sealed::ReadOutputs<'f> for ($(&Handle<'f, $type>,)+) {
            type Outputs = ($($type,)+);

            fn links(&self) -> Vec<ParentLink> {
                let ($($parent,)+) = self;
                vec![$($parent.link()),+]
            }

            fn reader(&self) -> Reader<Self::Outputs> {
                let ($($parent,)+) = self;
                $(let $parent = $parent.name().to_owned();)+
                Reader::new(move |input| Ok(($(read_output(&$parent, input)?,)+)))
            }
        }
    };
}

impl_tuple!(A a, B b);
impl_tuple!(A a, B b, C c);
impl_tuple!(A a, B b, C c, D d);
impl_tuple!(A a, B b, C c, D d, E e);
impl_tuple!(A a, B b, C c, D d, E e, F f);
impl_tuple!(A a, B b, C c, D d, E e, F f, G g);
impl_tuple!(A a, B b, C c, D d, E e, F f, G g, H h);

/// Reads the output of a parent. A skipped parent reads as JSON `null`, which only an `Option` accepts.
fn read_output<O: Payload>(name: &str, input: &AttemptInput) -> Result<O, String> {
    match input.parents.get(name).map(|output| RawValue::get(output)) {
        // The output of a unit type.
        Some("{}") => decode("{}").or_else(|bad| decode("null").map_err(|_| bad)),
        Some(output) if !is_skipped(output) => decode(output),
        Some(_) | None => {
            return decode("null").map_err(|_| format!("parent `{name}` was skipped: declare it with `optional`"));
        }
    }
    .map_err(|bad| format!("output of the parent `{name}`, {bad}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Output {
        n: u32,
    }

    fn input(parents: &[(&str, &str)]) -> AttemptInput {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let parents = parents.iter().map(|(name, json)| ((*name).to_owned(), raw(json))).collect();
        AttemptInput { parents, ..AttemptInput::new("{}") }
    }

    #[test]
    fn output_is_read_and_skipped_parent_is_none() {
        let input = input(&[
            ("a", r#"{"n": 1}"#),
            ("b", r#"{"skipped": true}"#),
            ("c", r#"{"n": 2, "skipped": false}"#),
            ("d", "{}"),
        ]);
        assert_eq!(read_output("a", &input), Ok(Output { n: 1 }));
        assert_eq!(read_output("a", &input), Ok(Some(Output { n: 1 })));
        assert_eq!(read_output::<Option<Output>>("b", &input), Ok(None));
        assert_eq!(read_output("c", &input), Ok(Some(Output { n: 2 })));
        assert_eq!(read_output("d", &input), Ok(()));
    }

    #[test]
    fn wrong_or_skipped_output_is_an_error_with_the_parent() {
        let input = input(&[("a", r#"{"n": "x"}"#), ("b", r#"{"skipped": true}"#)]);
        let wrong = read_output::<Output>("a", &input).unwrap_err();
        assert!(wrong.starts_with("output of the parent `a`, field `n`:"), "{wrong}");
        let skipped = read_output::<Output>("b", &input).unwrap_err();
        assert_eq!(skipped, "parent `b` was skipped: declare it with `optional`");
    }
}
