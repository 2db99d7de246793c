//! The calling side of the library: child runs, events, schedules, crons, management. Each test runs the library's
//! worker and client on the engine that `HATCHET_TEST_TARGET` chooses, as the conformance suite does.

mod children;
mod events;
mod fixture;
mod later;
mod manage;
mod observe;
mod run;

use fixture::{Json, Library, json_object, within};
