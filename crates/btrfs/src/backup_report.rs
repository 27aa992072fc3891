//! Reports the state of all subvolumes to a gateway (`[report]`), so that one page shows web hosts and btrfs
//! hosts.
//!
//! Each report has everything, so the newest one replaces all before it. [`subvolume`] builds the report of
//! one subvolume, which is pure. [`known`] remembers it on this host: what could not be observed now is
//! reported as it was last seen, and a result that no gateway took is in the next report. [`deliver`] sends it.
//! No failure here is a failure of the run.

pub mod deliver;
pub mod known;
pub mod subvolume;
