//! A kind of processor whose SHA instructions are left to the library.

use crate::State;

/// There is none.
#[derive(Clone, Copy)]
pub enum Unit {}

impl Unit {
    pub fn detect() -> Option<Unit> {
        None
    }

    pub fn compress<const N: usize, const M: usize>(
        self,
        _states: &mut [State; N],
        _lanes: [&[u8]; M],
    ) {
        match self {}
    }
}
