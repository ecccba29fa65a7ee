//! Follows a log by a stream: a response that goes on with the records that are written after the request. If
//! the log can be read by windows, they prove from time to time that the stream has omitted no line.

use super::files::FilesUse;
use super::opening::Opening;
use super::read::{Ending, Silence};
use super::window::{Known, Reach, Scan};
use super::{Following, Step, Waiting};
use crate::dialect::Dialect;
use crate::engine::{ApiVersion, EngineError, LogRefusal, LogsQuery};
use crate::follow_state::FollowState;
use crate::record::QueueClosed;

impl Following {
    /// Reads the log as it grows, until the stream ends or the log is to be read by windows.
    pub(super) async fn follow(&mut self, tail: Option<u32>) -> Result<Step, QueueClosed> {
        let commands = self.commands.borrow_and_update().clone();
        if commands.starts != self.seen.starts {
            self.selection.note_end();
        }
        self.seen = commands;
        if let Some(records) = self.tail {
            if let Some(step) = self.begin_at_tail(records).await? {
                return Ok(step);
            }
        }
        self.descriptor = self.descriptor.take().or_else(|| self.context.descriptors.log());
        if self.descriptor.is_none() {
            return Ok(Step::Turn);
        }
        // The log of a container that was just started is requested immediately: the container and its log can
        // be removed before the inspection names the files.
        if self.wants_files() && (self.metadata.is_inspected() || !self.is_first_run) {
            if let Some(step) = self.decide_to_follow().await {
                return Ok(step);
            }
            if let Some(step) = self.follow_files(&mut None).await? {
                return Ok(step);
            }
        }
        let is_behind = (self.is_behind || self.files == FilesUse::AfterWindow)
            && (self.stuck == 0 || self.passes_damage());
        if is_behind || (self.known == Known::Resume && self.sink.resumes()) {
            return self.resume().await;
        }
        let unanswered = self.context.stopping.unproved();
        let (query, scan) = self.opening(tail);
        let (context, id) = (self.context.clone(), self.id.clone());
        let mut opening = Opening::new(&context.client, &id, query);
        // The first inspection and the request run at the same time, since the container and its log can be
        // removed before the inspection is answered. An open log can be read to its end even after the
        // removal.
        if !self.metadata.is_inspected() {
            let inspected = opening.beside(self.metadata.inspect()).await;
            if !self.note_first_inspection(inspected) {
                return Ok(self.not_selected());
            }
        }
        let mut opening = Some(opening);
        if self.wants_files() {
            if let Some(step) = self.select() {
                return Ok(step);
            }
            self.send_decision(true);
            if let Some(step) = self.follow_files(&mut opening).await? {
                return Ok(step);
            }
        }
        let Some(opening) = opening else { return Ok(Step::Follow { tail: None }) };
        let opened = opening.answer().await;
        if let Some(step) = self.select() {
            return Ok(step);
        }
        self.send_decision(opened.is_ok());
        let (content_type, body) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.not_opened(&error).await,
        };
        // If the first inspection failed, a second inspection may succeed now, since the Engine has just
        // answered another request.
        if self.metadata.is_partial() {
            if let Ok(inspect) = context.client.inspect(&self.id).await {
                if !self.metadata.update(inspect) {
                    return Ok(self.not_selected());
                }
            }
        }
        self.note(Some(FollowState::Followed));
        self.left = None;
        let mut response = self.response(content_type, body, scan);
        // The stream may be late, so a window has to read the log before the source ends.
        match context.stopping.is_requested() {
            true => self.unproved = self.unproved.take().or(Some(unanswered)),
            false => drop(unanswered),
        }
        let new_before = self.sink.new_lines();
        let may_be_cut = self.may_be_cut();
        // If a window can be read, the container has not ended before its stream began: the Engine would have
        // removed the log.
        let has_begun = may_be_cut && self.can_window() && self.prove().await?;
        loop {
            let ending = self.read(&mut response, Silence::UntilRemoval).await?;
            if let (Known::Damage, Some(first)) = (self.known, response.scan().first()) {
                self.known = Known::Line(first);
            }
            if ending == Ending::Due {
                let is_stopping = self.context.stopping.is_requested();
                if self.can_window() {
                    self.prove().await?;
                } else {
                    self.open = response.oldest_open();
                    let _ = self.read_rest(&mut None).await?;
                }
                if is_stopping {
                    return Ok(self.stopped().await);
                }
                if !(self.pace.is_late() && self.can_poll()) {
                    continue;
                }
            }
            let lines_behind = response.scan().lines_of_tail();
            let is_empty = response.scan().records() == 0;
            let reader = response.into_reader();
            // The stream possibly ended in front of a damaged record. A window shows whether the log has lines
            // behind this record.
            let is_over = matches!(ending, Ending::Complete | Ending::Invalid);
            self.is_behind |= is_over && self.sink.new_lines() == new_before && self.can_window();
            if ending == Ending::Complete && may_be_cut {
                self.is_unread = is_empty && !has_begun;
                // The Engine may be about to remove the container, so its log is read before the next
                // inspection. The result is ignored: if the log cannot be read, the inspection shows the
                // reason.
                let _ = self.read_rest(&mut None).await?;
            }
            return Ok(match ending {
                Ending::Broken | Ending::Complete | Ending::Invalid | Ending::Lost => Step::Decide(reader),
                Ending::Busy | Ending::Due | Ending::TooShort => {
                    Step::Poll { left: Some(reader), lines_behind }
                }
            });
        }
    }

    /// Returns whether lines can be lost at the end of a stream: the Engine may end the stream without an
    /// error before it has sent all lines, and may then remove the log before the log can be read again.
    fn may_be_cut(&self) -> bool {
        let client = &self.context.client;
        let is_old = client.dialect() == Dialect::Docker && client.version() < ApiVersion::DOCKER_23;
        is_old && (self.metadata.is_partial() || self.metadata.is_removed_at_end())
    }

    /// Returns the request that follows the log, and the scan that checks how far its response reaches. Docker
    /// 20.10 can skip lines if a request has the parameter `since=`. Therefore, once lines have been read, the
    /// request asks for the last records instead, if the log can be read in this way.
    fn opening(&mut self, tail: Option<u32>) -> (LogsQuery, Scan) {
        self.sink.count_request();
        let has_place = self.sink.has_lines() || matches!(self.known, Known::Line(_));
        if tail.is_none() && has_place && self.can_window() {
            let mut limit = self.first_limit();
            let (since, reach) = self.reach(&mut limit, false);
            return (LogsQuery { follow: true, since, tail: limit }, Scan::new(reach, limit, true));
        }
        let mut reach = Reach::Nothing;
        if self.stuck > 0 && tail.is_some() {
            self.sink.skip_damage(None, false);
            (self.known, reach) = (Known::Damage, Reach::End);
        }
        (self.query(true, tail), Scan::new(reach, None, true))
    }

    /// Handles the refusal of a request for the log.
    pub(super) async fn not_opened(&mut self, error: &EngineError) -> Result<Step, QueueClosed> {
        match error.log_refusal() {
            LogRefusal::Unreadable => Ok(self.unreadable(error)),
            LogRefusal::Temporary if !self.commands.borrow().removed => {
                self.refused(error);
                self.pause().await;
                // Unless damage is skipped, the next step has no limit for the number of records, since the
                // container can write any number of lines before the log is read.
                Ok(Step::Follow { tail: self.past_damage() })
            }
            LogRefusal::Gone | LogRefusal::Temporary => {
                if let Some(left) = self.left.take() {
                    self.finish(left).await?;
                }
                self.note_removal().await?;
                Ok(Step::Wait(Waiting::Ended))
            }
        }
    }
}
