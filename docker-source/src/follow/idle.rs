//! Waits for the next run of a container, and asks whether the container has run unnoticed.

use std::future::{Future, pending};

use super::{ExitReason, Following, Step, Waiting};
use crate::engine::LogRefusal;
use crate::log::LogReader;

impl Following {
    /// Waits until the container is started again.
    pub(super) fn wait_for_start(&self) -> impl Future<Output = ()> + use<> {
        let (mut commands, starts) = (self.commands.clone(), self.seen.starts);
        async move {
            if commands.wait_for(|commands| commands.starts != starts).await.is_err() {
                // The source was dropped, and this task is about to be dropped, too.
                pending::<()>().await;
            }
        }
    }

    /// Follows a run that began while the log of the previous run was read. The new run is followed immediately,
    /// since it can end at any time, and its log can then be removed. The stream also brings the rest of the
    /// previous run, which precedes the new run in the log.
    pub(super) fn next_run(&mut self, left: Option<LogReader>) -> Step {
        self.left = left;
        self.selection.note_end();
        self.note_start();
        Step::Follow { tail: self.past_damage() }
    }

    /// Notes that the container was started.
    fn note_start(&mut self) {
        // A container that is gone cannot be started: the event of the start has arrived late.
        self.is_unread |= !self.is_gone;
        // The log may be removed soon, so the next request for it does not wait for the turns of other logs.
        self.is_behind = false;
    }

    /// Decides whether the log is to be read, because the container may have run unnoticed.
    pub(super) async fn check(&mut self) -> Step {
        self.seen.checks = self.commands.borrow_and_update().checks;
        // If the container is started meanwhile, its log is followed without waiting for the inspection, since
        // the container can be removed before the Engine answers.
        tokio::select! {
            biased;
            () = self.wait_for_start() => {
                self.note_start();
                Step::Follow { tail: None }
            }
            step = self.ask() => step,
        }
    }

    /// Asks whether the container has run since its log was last read to the end.
    async fn ask(&mut self) -> Step {
        let context = self.context.clone();
        let inspected = {
            let _permit = context.catch_ups.acquire().await;
            context.client.inspect(&self.id).await
        };
        match inspected {
            Ok(inspect) => {
                let ran = inspect.state.finished_at().is_some_and(|end| end > self.drained);
                match ran || inspect.state.is_running() {
                    true => Step::Follow { tail: None },
                    false => {
                        self.is_unread = false;
                        Step::Wait(Waiting::Ended)
                    }
                }
            }
            Err(error) if error.log_refusal() == LogRefusal::Gone => {
                self.unavailable(&error);
                Step::Wait(Waiting::Ended)
            }
            Err(error) => {
                self.refused(&error);
                self.pause().await;
                Step::Check
            }
        }
    }

    /// Waits for a start of the container, for its removal, or, unless its log is unreadable, for a sign that
    /// it may have run.
    pub(super) async fn wait(&mut self, waiting: Waiting) -> Step {
        self.selection.note_end();
        if self.sink.has_requested() {
            self.seen.sightings = self.commands.borrow().sightings;
        }
        loop {
            {
                let commands = self.commands.borrow_and_update();
                let is_readable = waiting != Waiting::Unreadable;
                if commands.starts != self.seen.starts {
                    drop(commands);
                    self.note_start();
                    return Step::Follow { tail: None };
                }
                if commands.removed {
                    return Step::End(ExitReason::Removed);
                }
                if is_readable && commands.sightings != self.seen.sightings {
                    return Step::Follow { tail: None };
                }
                if is_readable && commands.checks != self.seen.checks {
                    return Step::Check;
                }
            }
            if self.commands.changed().await.is_err() {
                return Step::End(ExitReason::Stopped);
            }
        }
    }
}
