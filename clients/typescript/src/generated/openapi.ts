/**
 * The shapes of requests and answers, from the server's OpenAPI document. Written by `npm run generate`: do not edit.
 */
export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description A failure. The code says whether the request was carried out. */
        FailureAnswer: {
            /**
             * @description The outcome of the request, or of one job of a bulk call. (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            status: "failure";
            /** @description The kind of failure, a word for programs. */
            code: components["schemas"]["FailureCode"];
            /** @description The failure in words. It begins with the field in question and says what it may be. */
            message: string;
            /**
             * Format: int64
             * @description Queued and delayed jobs of a full queue; only with `queue_full`.
             */
            current_queue_length?: number;
        };
        /** @description The confirmation that a job is queued. */
        Queued: {
            /**
             * @description The outcome of the request, or of one job of a bulk call. (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            status: "queued";
            /** @description The id of the job; present if the server made it, and in the results of bulk calls. */
            job_id?: string;
            /** @description True if the queue has a job of this id already, so that nothing changed; else absent. */
            duplicate?: boolean;
            /**
             * Format: int64
             * @description Queued and delayed jobs before this one; present if a maximum was given.
             */
            current_queue_length?: number;
            /** @description The reason why the queue cannot keep the rate; absent if it can. */
            warning?: string;
        };
        /** @description The results of a bulk enqueue. */
        QueuedJobs: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of results that are failures; 0 if every job succeeded.
             */
            failed: number;
            /** @description The reason why some queues cannot keep the rates that were sent; else absent. */
            warning?: string;
            /** @description One result for each job of the request, in order. */
            results: components["schemas"]["EnqueueResult"][];
        };
        /** @description The answer of a dequeue without `count`. */
        SingleDequeueAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The type of the queue; present if the query names the types. */
            queue_type?: string;
            /** @description The id of the queue within its type. */
            queue_id: string;
            /** @description The id of the job within its queue. */
            job_id: string;
            /** @description The content of the job, as it was sent. */
            payload: unknown;
            /**
             * Format: int64
             * @description Number of times that the job may still return to its queue; -1 means forever.
             */
            requeues_remaining: number;
            /**
             * Format: int64
             * @description Jobs still queued in the queue after this one.
             */
            current_queue_length: number;
            /** @description The lease token, to be sent with finish, extend and release. */
            lease: string;
            /**
             * Format: int64
             * @description The end of the lease, in ms since the epoch.
             */
            lease_expires_at: number;
            /**
             * Format: int64
             * @description The time at which the job was enqueued, in ms since the epoch.
             */
            enqueued_at: number;
            /**
             * Format: int64
             * @description Number of deliveries that count so far: 1 for the first, 0 before it.
             */
            attempt: number;
            /**
             * Format: int64
             * @description Number of slots of the rate that the lease took.
             */
            cost: number;
            /**
             * Format: int64
             * @description The place of the job within its queue, 1 to 9; 1 leaves first.
             */
            priority: number;
            /**
             * Format: int64
             * @description The time at which the job would have expired in its queue, in ms since the epoch; null for never. The lease may outlive it.
             */
            expires_at: number | null;
            /** @description The context of the trace in which the job was made, in the form of W3C Trace Context; absent if it has none. */
            traceparent?: string;
            /** @description What tracing systems added to the `traceparent`; absent if they added nothing. */
            tracestate?: string;
        };
        /** @description The answer of a dequeue with `count`. */
        BulkDequeueAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The leased jobs, at least one. */
            jobs: components["schemas"]["DequeuedJob"][];
        };
        /** @description A job and its lease. */
        DequeuedJob: {
            /** @description The type of the queue; present if the query names the types. */
            queue_type?: string;
            /** @description The id of the queue within its type. */
            queue_id: string;
            /** @description The id of the job within its queue. */
            job_id: string;
            /** @description The content of the job, as it was sent. */
            payload: unknown;
            /**
             * Format: int64
             * @description Number of times that the job may still return to its queue; -1 means forever.
             */
            requeues_remaining: number;
            /**
             * Format: int64
             * @description Jobs still queued in the queue after this one.
             */
            current_queue_length: number;
            /** @description The lease token, to be sent with finish, extend and release. */
            lease: string;
            /**
             * Format: int64
             * @description The end of the lease, in ms since the epoch.
             */
            lease_expires_at: number;
            /**
             * Format: int64
             * @description The time at which the job was enqueued, in ms since the epoch.
             */
            enqueued_at: number;
            /**
             * Format: int64
             * @description Number of deliveries that count so far: 1 for the first, 0 before it.
             */
            attempt: number;
            /**
             * Format: int64
             * @description Number of slots of the rate that the lease took.
             */
            cost: number;
            /**
             * Format: int64
             * @description The place of the job within its queue, 1 to 9; 1 leaves first.
             */
            priority: number;
            /**
             * Format: int64
             * @description The time at which the job would have expired in its queue, in ms since the epoch; null for never. The lease may outlive it.
             */
            expires_at: number | null;
            /** @description The context of the trace in which the job was made, in the form of W3C Trace Context; absent if it has none. */
            traceparent?: string;
            /** @description What tracing systems added to the `traceparent`; absent if they added nothing. */
            tracestate?: string;
        };
        /** @description The answer of a dequeue if no job is ready. */
        NothingReadyAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["FailureStatus"];
            /** @description Why there is no job: the reason of the queue of the type that comes first; `empty` if the type has no jobs. Absent if it cannot be told. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by?: string;
            /**
             * Format: int64
             * @description Time until that queue may next be leased from, in ms; absent if it is not known.
             */
            next_ready_in?: number;
        };
        /** @description The confirmation that a job is finished. */
        Finished: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description False if the server had no room for the result. The job is finished all the same. Absent if there was no result. */
            result_kept?: boolean;
        };
        /** @description The results of a bulk finish, extend or release. */
        LeaseResults: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of results that are failures; 0 if every job succeeded.
             */
            failed: number;
            /** @description One result for each job of the request, in order. */
            results: components["schemas"]["LeaseResult"][];
        };
        /** @description The success of one job in a bulk call. */
        LeaseDone: {
            /**
             * @description The outcome of the request, or of one job of a bulk call. (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            status: "success";
            /**
             * Format: int64
             * @description The new end of the lease, in ms since the epoch; only after an extend.
             */
            lease_expires_at?: number;
            /** @description False if the server had no room for the result. The job is finished all the same. Absent if there was no result. */
            result_kept?: boolean;
        };
        /** @description The new end of a lease. */
        Extended: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description The end of the lease, in ms since the epoch.
             */
            lease_expires_at: number;
        };
        /** @description The confirmation that the request was carried out. */
        Done: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
        };
        /** @description The state of one job. */
        JobAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The state of the job. */
            state: components["schemas"]["JobState"];
            /**
             * Format: int64
             * @description Number of deliveries that count so far: 1 for the first, 0 before it.
             */
            attempt: number;
            /**
             * Format: int64
             * @description The time at which the job was enqueued, in ms since the epoch.
             */
            enqueued_at: number;
            /**
             * Format: int64
             * @description The end of the lease, in ms since the epoch; only of a leased job.
             */
            lease_expires_at?: number;
            /**
             * Format: int64
             * @description The place in the queue, 1 for the next job to be leased; only of a queued job, and not in a list.
             */
            position?: number;
            /** @description The content of the job; absent once it is forgotten. */
            payload?: unknown;
            /**
             * Format: int64
             * @description The place of the job within its queue, 1 to 9; 1 leaves first. Absent once it is forgotten.
             */
            priority?: number;
            /**
             * Format: int64
             * @description Number of slots of the rate that the job takes; absent once it is forgotten.
             */
            cost?: number;
            /**
             * Format: int64
             * @description Number of times that the job may return to its queue; -1 means forever. Absent once it is forgotten.
             */
            requeue_limit?: number;
            /** @description The retry policy of the job; absent if it has none of its own. */
            retry?: components["schemas"]["RetryAnswer"];
            /**
             * Format: int64
             * @description The end of the delay, in ms since the epoch; only of a delayed job.
             */
            delayed_until?: number;
            /**
             * Format: int64
             * @description The time at which the job expires, in ms since the epoch; absent for never.
             */
            expires_at?: number;
            /** @description The fate of the job when it expires; absent if it never does. */
            on_expiry?: components["schemas"]["OnExpiry"];
            /** @description Why the job is not leased now, as far as it, its queue and its type say; null if its queue gives a job. Absent unless it is queued or delayed. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by?: string | null;
            /**
             * Format: int64
             * @description The time at which the job became a dead letter, in ms since the epoch.
             */
            dead_at?: number;
            /** @description Why the job is dead: `limit` if it passed its requeue limit, `expired` if it expired. */
            reason?: components["schemas"]["DeadReason"];
            /** @description The error that the latest release gave; absent if there was none. */
            error?: string;
            /**
             * Format: int64
             * @description The attempt that failed with this error.
             */
            error_attempt?: number;
            /**
             * Format: int64
             * @description The time of the release with this error, in ms since the epoch.
             */
            error_at?: number;
            /** @description The batch of the job; absent for none, and once the job or its batch is forgotten. */
            batch?: string;
            /** @description The window of the job itself; absent for none, for a job that ignores windows, and once the job is forgotten. */
            window?: string;
            /** @description True if the job leaves outside of all windows, else absent. */
            ignore_window?: boolean;
            /**
             * Format: int64
             * @description The time at which its windows and that of its queue first let a waiting job leave, in ms since the epoch; absent if they do now, and if that time is not known.
             */
            opens_at?: number;
            /** @description What the work gave; only of a finished job whose result is kept. */
            result?: unknown;
            /** @description How far the work was at the latest report; absent if there was none. */
            progress?: unknown;
            /**
             * Format: int64
             * @description The time of the latest report of progress, in ms since the epoch.
             */
            progress_at?: number;
            /** @description The context of the trace in which the job was made, in the form of W3C Trace Context; absent if it has none. */
            traceparent?: string;
            /** @description What tracing systems added to the `traceparent`; absent if they added nothing. */
            tracestate?: string;
        };
        /** @description A retry policy. */
        RetryAnswer: {
            /**
             * Format: int64
             * @description Wait after the first failed attempt, in ms.
             */
            delay: number;
            /**
             * Format: double
             * @description Factor by which the wait grows with each further attempt.
             */
            factor: number;
            /**
             * Format: int64
             * @description The longest wait, in ms.
             */
            max: number;
            /**
             * Format: double
             * @description The share of the wait that chance may take off, 0 to 1.
             */
            jitter: number;
        };
        /** @description A page of dead letters. */
        DeadJobs: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The dead letters, oldest first within a partition. */
            jobs: components["schemas"]["DeadJob"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description One dead letter. */
        DeadJob: {
            /** @description The id of the queue within its type. */
            queue_id: string;
            /** @description The id of the job within its queue. */
            job_id: string;
            /** @description The content of the job, as it was sent. */
            payload: unknown;
            /**
             * Format: int64
             * @description Number of deliveries that count so far: 1 for the first, 0 before it.
             */
            attempt: number;
            /**
             * Format: int64
             * @description The time at which the job was enqueued, in ms since the epoch.
             */
            enqueued_at: number;
            /**
             * Format: int64
             * @description The time at which the job became a dead letter, in ms since the epoch.
             */
            dead_at: number;
            /** @description Why the job is dead: `limit` if it passed its requeue limit, `expired` if it expired. */
            reason: components["schemas"]["DeadReason"];
            /** @description The error that the latest release gave; absent if there was none. */
            error?: string;
            /**
             * Format: int64
             * @description The attempt that failed with this error.
             */
            error_attempt?: number;
            /**
             * Format: int64
             * @description The time of the release with this error, in ms since the epoch.
             */
            error_at?: number;
        };
        /** @description The result of dropping dead letters. */
        Dropped: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of dead letters that were dropped.
             */
            dropped: number;
        };
        /** @description The result of a redrive: `redriven` for all dead letters of the type, the other fields for named ones. */
        Redriven: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of dead letters queued again; only without `jobs`.
             */
            redriven?: number;
            /**
             * Format: int64
             * @description Number of results that are failures; only with `jobs`.
             */
            failed?: number;
            /** @description One result for each job of the request, in order. */
            results?: components["schemas"]["EnqueueResult"][];
        };
        /** @description The confirmation that a job is cancelled. */
        Cancelled: {
            /**
             * @description The outcome of the request, or of one job of a bulk call. (enum property replaced by openapi-typescript)
             * @enum {string}
             */
            status: "success";
            /** @description The state of the job before the call; `cancelled` if it had been cancelled before. */
            was: components["schemas"]["JobState"];
        };
        /** @description The results of a bulk cancellation. */
        CancelResults: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of results that are failures; 0 if every job succeeded.
             */
            failed: number;
            /** @description One result for each job of the request, in order. */
            results: components["schemas"]["CancelResult"][];
        };
        /** @description The result of a cancellation by prefix, or of that of a batch. */
        CancelledMany: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of jobs that were cancelled.
             */
            cancelled: number;
        };
        /** @description A page of the jobs of a queue. */
        ListedJobs: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The jobs of the page. */
            jobs: components["schemas"]["ListedJob"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
        };
        /** @description One job of a list. */
        ListedJob: {
            /** @description The state of the job. */
            state: components["schemas"]["JobState"];
            /**
             * Format: int64
             * @description Number of deliveries that count so far: 1 for the first, 0 before it.
             */
            attempt: number;
            /**
             * Format: int64
             * @description The time at which the job was enqueued, in ms since the epoch.
             */
            enqueued_at: number;
            /**
             * Format: int64
             * @description The end of the lease, in ms since the epoch; only of a leased job.
             */
            lease_expires_at?: number;
            /**
             * Format: int64
             * @description The place in the queue, 1 for the next job to be leased; only of a queued job, and not in a list.
             */
            position?: number;
            /** @description The content of the job; absent once it is forgotten. */
            payload?: unknown;
            /**
             * Format: int64
             * @description The place of the job within its queue, 1 to 9; 1 leaves first. Absent once it is forgotten.
             */
            priority?: number;
            /**
             * Format: int64
             * @description Number of slots of the rate that the job takes; absent once it is forgotten.
             */
            cost?: number;
            /**
             * Format: int64
             * @description Number of times that the job may return to its queue; -1 means forever. Absent once it is forgotten.
             */
            requeue_limit?: number;
            /** @description The retry policy of the job; absent if it has none of its own. */
            retry?: components["schemas"]["RetryAnswer"];
            /**
             * Format: int64
             * @description The end of the delay, in ms since the epoch; only of a delayed job.
             */
            delayed_until?: number;
            /**
             * Format: int64
             * @description The time at which the job expires, in ms since the epoch; absent for never.
             */
            expires_at?: number;
            /** @description The fate of the job when it expires; absent if it never does. */
            on_expiry?: components["schemas"]["OnExpiry"];
            /** @description Why the job is not leased now, as far as it, its queue and its type say; null if its queue gives a job. Absent unless it is queued or delayed. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by?: string | null;
            /**
             * Format: int64
             * @description The time at which the job became a dead letter, in ms since the epoch.
             */
            dead_at?: number;
            /** @description Why the job is dead: `limit` if it passed its requeue limit, `expired` if it expired. */
            reason?: components["schemas"]["DeadReason"];
            /** @description The error that the latest release gave; absent if there was none. */
            error?: string;
            /**
             * Format: int64
             * @description The attempt that failed with this error.
             */
            error_attempt?: number;
            /**
             * Format: int64
             * @description The time of the release with this error, in ms since the epoch.
             */
            error_at?: number;
            /** @description The batch of the job; absent for none, and once the job or its batch is forgotten. */
            batch?: string;
            /** @description The window of the job itself; absent for none, for a job that ignores windows, and once the job is forgotten. */
            window?: string;
            /** @description True if the job leaves outside of all windows, else absent. */
            ignore_window?: boolean;
            /**
             * Format: int64
             * @description The time at which its windows and that of its queue first let a waiting job leave, in ms since the epoch; absent if they do now, and if that time is not known.
             */
            opens_at?: number;
            /** @description What the work gave; only of a finished job whose result is kept. */
            result?: unknown;
            /** @description How far the work was at the latest report; absent if there was none. */
            progress?: unknown;
            /**
             * Format: int64
             * @description The time of the latest report of progress, in ms since the epoch.
             */
            progress_at?: number;
            /** @description The context of the trace in which the job was made, in the form of W3C Trace Context; absent if it has none. */
            traceparent?: string;
            /** @description What tracing systems added to the `traceparent`; absent if they added nothing. */
            tracestate?: string;
            /** @description The id of the job within its queue. */
            job_id: string;
        };
        /** @description The confirmation that the rate is set. */
        RateSet: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The reason why the queue cannot keep the rate; absent if it can. */
            warning?: string;
        };
        /** @description The state of one queue. */
        QueueAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in ms; 0 means unlimited.
             */
            interval: number;
            /** @description The same as a rate, in at most six digits: `40/s`; null if it is unlimited. */
            rate: string | null;
            /**
             * Format: double
             * @description Number of leases that may follow each other at once when the queue is late.
             */
            burst: number;
            /** @description True if enqueues do not change rate, burst and max_leased. */
            pinned: boolean;
            /** @description True if the queue hands out no jobs until it is resumed. */
            paused: boolean;
            /**
             * Format: int64
             * @description Number of jobs that wait in line.
             */
            queued: number;
            /**
             * Format: int64
             * @description Number of jobs whose delay has not passed.
             */
            delayed: number;
            /**
             * Format: int64
             * @description Number of jobs that workers hold.
             */
            leased: number;
            /**
             * Format: int64
             * @description Number of dead letters.
             */
            dead: number;
            /**
             * Format: int64
             * @description Maximum number of jobs of the queue leased at a time; null for no maximum.
             */
            max_leased: number | null;
            /**
             * Format: int64
             * @description Number of jobs that the queue gives in its turn while queues of its type compete.
             */
            weight: number;
            /**
             * Format: int64
             * @description The time before which the queue gives no job, in ms since the epoch; null without a hold.
             */
            held_until: number | null;
            /** @description The retry policy of jobs that have none of their own; null for none. */
            retry: components["schemas"]["RetryAnswer"] | null;
            /**
             * Format: double
             * @description Time after which jobs without an expiry of their own expire, counted from when each is due, in ms; null for never.
             */
            expires: number | null;
            /** @description The fate of expired jobs that do not name one; null if it is not set. */
            on_expiry: components["schemas"]["OnExpiry"] | null;
            /** @description The window outside of which no job is leased, except those that ignore windows; null for none. */
            window: string | null;
            /** @description The names of the caps that the queue shares with other queues, sorted. */
            caps: string[];
            /** @description The names of the fields that an operator has set, which enqueues do not change. */
            settings: string[];
            /** @description Why the queue gives no job now: the first reason that applies; null if it gives one. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by: string | null;
            /**
             * Format: int64
             * @description Time until the queue may next be leased from, in ms, 0 if it may now; null if nothing is queued, or if it is not known, such as for a paused queue.
             */
            next_ready_in: number | null;
            /**
             * Format: int64
             * @description Time since the job at the head of the queue was enqueued, in ms; null if none is queued.
             */
            oldest_age: number | null;
        };
        /** @description The answer of the deletion of a queue. The status is capitalised as in the original. */
        DeletedAnswer: {
            /**
             * @description `Success`, or `Failure` if there was nothing to delete.
             * @enum {string}
             */
            status: "Failure" | "Success";
            /** @description The result in words. */
            message: string;
        };
        /** @description The queues of a type: a page of them, or the first ones of an order. */
        QueueRows: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The queues with their numbers. */
            queues: components["schemas"]["QueueRow"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
            /** @description Only with `by`: false if there were too many queues to examine all. */
            complete?: boolean;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description One queue of a list. */
        QueueRow: {
            /** @description The id of the queue within its type. */
            queue_id: string;
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in ms; 0 means unlimited.
             */
            interval: number;
            /** @description The same as a rate, in at most six digits: `40/s`; null if it is unlimited. */
            rate: string | null;
            /**
             * Format: double
             * @description Number of leases that may follow each other at once when the queue is late.
             */
            burst: number;
            /**
             * Format: int64
             * @description Number of jobs that wait in line.
             */
            queued: number;
            /**
             * Format: int64
             * @description Number of jobs whose delay has not passed.
             */
            delayed: number;
            /**
             * Format: int64
             * @description Number of jobs that workers hold.
             */
            leased: number;
            /**
             * Format: int64
             * @description Number of dead letters.
             */
            dead: number;
            /**
             * Format: int64
             * @description Maximum number of jobs of the queue leased at a time; null for no maximum.
             */
            max_leased: number | null;
            /** @description The names of the caps that the queue shares with other queues, sorted. */
            caps: string[];
            /**
             * Format: int64
             * @description Number of jobs leased in the last complete minute of the clock.
             */
            delivered: number;
            /**
             * Format: int64
             * @description Number of jobs that the queue should have given in that minute: as many as its rate allows, but no more than it gave and has waiting now; null at an unlimited rate.
             */
            promised: number | null;
            /** @description Why the queue gives no job now: the first reason that applies; null if it gives one. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by: string | null;
            /**
             * Format: int64
             * @description Time until the queue may next be leased from, in ms, 0 if it may now; null if nothing is queued, or if it is not known, such as for a paused queue.
             */
            next_ready_in: number | null;
            /**
             * Format: int64
             * @description Time since the job at the head of the queue was enqueued, in ms; null if none is queued.
             */
            oldest_age: number | null;
        };
        /** @description A page of the types. */
        TypeRows: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The types in the order of their names. */
            types: components["schemas"]["TypeRowAnswer"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description One type of the list, with its numbers over all partitions. */
        TypeRowAnswer: {
            /** @description The name of the type. */
            queue_type: string;
            /**
             * Format: int64
             * @description Number of jobs that wait in line.
             */
            queued: number;
            /**
             * Format: int64
             * @description Number of jobs whose delay has not passed.
             */
            delayed: number;
            /**
             * Format: int64
             * @description Number of jobs that workers hold.
             */
            leased: number;
            /**
             * Format: int64
             * @description Number of dead letters.
             */
            dead: number;
            /**
             * Format: int64
             * @description Number of jobs enqueued in the last complete minute.
             */
            enqueued: number;
            /**
             * Format: int64
             * @description Number of jobs leased in the last complete minute of the clock.
             */
            delivered: number;
            /** @description Why no queue of the type may be leased from now; null if one may. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by: string | null;
        };
        /** @description The state of a gathered type. */
        TypeAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The limits that all queues of the type share. */
            limits: components["schemas"]["LimitAnswer"][];
            /**
             * Format: int64
             * @description Maximum number of jobs of the type leased at a time; null for no maximum.
             */
            max_leased: number | null;
            /** @description True if the type hands out no jobs until it is resumed. */
            paused: boolean;
            /**
             * Format: int64
             * @description The time before which the type gives no job, in ms since the epoch; null without a hold.
             */
            held_until: number | null;
            /**
             * Format: int64
             * @description Number of jobs that wait in line.
             */
            queued: number;
            /**
             * Format: int64
             * @description Number of jobs whose delay has not passed.
             */
            delayed: number;
            /**
             * Format: int64
             * @description Number of jobs that workers hold.
             */
            leased: number;
            /**
             * Format: int64
             * @description Number of dead letters.
             */
            dead: number;
            /** @description The retry policy of jobs that have none of their own; null for none. */
            retry: components["schemas"]["RetryAnswer"] | null;
            /**
             * Format: double
             * @description Time after which jobs without an expiry of their own expire, counted from when each is due, in ms; null for never.
             */
            expires: number | null;
            /** @description The fate of expired jobs that do not name one; null if it is not set. */
            on_expiry: components["schemas"]["OnExpiry"] | null;
            /** @description The window outside of which no job is leased, except those that ignore windows; null for none. */
            window: string | null;
            /** @description The quotas that all queues of the type share, and what is used. */
            quotas: components["schemas"]["QuotaAnswer"][];
            /**
             * Format: int64
             * @description Number of queues that the server keeps a record of.
             */
            queues: number;
            /** @description Why no queue of the type gives a job now; null if one does. One of `all_paused`, `type_paused`, `paused`, `type_hold`, `hold`, `empty`, `delayed`, `window`, `quota`, `type_max_leased`, `max_leased`, `type_rate`, `rate`, or `cap:` and the name of a cap, such as `cap:acct17`. */
            blocked_by: string | null;
            /**
             * Format: int64
             * @description Time until the type may next be leased from, in ms, 0 if it may now; null if nothing is queued, or if it is not known, such as for a paused type.
             */
            next_ready_in: number | null;
            /** @description The limit that is not delivered in full at its burst; absent if all are. */
            warning?: string;
        };
        /** @description One limit of a gathered type or of a cap. */
        LimitAnswer: {
            /**
             * Format: double
             * @description Minimum time between two leases, or for each unit of cost, in ms.
             */
            interval: number;
            /** @description The same as a rate, in at most six digits: `40/s`. */
            rate: string;
            /**
             * Format: double
             * @description Number of leases or units that may follow each other at once when the queues are late.
             */
            burst: number;
            /** @description What the rate counts: `job` for leases, `cost` for the cost of their jobs. */
            unit: components["schemas"]["LimitUnit"];
        };
        /** @description One quota of a gathered type, and its present period. */
        QuotaAnswer: {
            /**
             * Format: int64
             * @description The most jobs, or units of cost, that the type gives in one period.
             */
            quota: number;
            /** @description The period: each local day or each local hour of `tz`. */
            period: components["schemas"]["PeriodLength"];
            /** @description The time zone of the days or hours. */
            tz: string;
            /** @description What the quota counts: `job` for leases, `cost` for the cost of their jobs. */
            unit: components["schemas"]["LimitUnit"];
            /**
             * Format: int64
             * @description The jobs or units of cost given in the present period.
             */
            used: number;
            /**
             * Format: int64
             * @description The end of the period, in ms since the epoch; null until a shard has computed it, which takes seconds. Nothing is given meanwhile.
             */
            resets_at: number | null;
        };
        /** @description The queue types in use, and the counts of the last 10 minutes over all types. */
        AllCounts: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The types that have queued, delayed or leased jobs, sorted. */
            queue_types: string[];
            /** @description Jobs enqueued, for each of the last 10 minutes: the start of the minute, in ms since the epoch, and the number. */
            enqueue_counts: {
                [key: string]: number;
            };
            /** @description Jobs leased, for each of the last 10 minutes: the start of the minute, in ms since the epoch, and the number. */
            dequeue_counts: {
                [key: string]: number;
            };
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description A page of the queues that have queued, delayed or leased jobs. */
        QueueIds: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The ids of the queues. */
            queue_ids: string[];
            /** @description The `cursor` of the next page; absent at the end of the list. */
            cursor?: string;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description The length of one queue and its counts of the last 10 minutes; zeros for an unknown queue. */
        QueueCounts: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of queued and delayed jobs.
             */
            queue_length: number;
            /** @description Jobs enqueued, for each of the last 10 minutes: the start of the minute, in ms since the epoch, and the number. */
            enqueue_counts: {
                [key: string]: number;
            };
            /** @description Jobs leased, for each of the last 10 minutes: the start of the minute, in ms since the epoch, and the number. */
            dequeue_counts: {
                [key: string]: number;
            };
        };
        /** @description The first queues of the requested order. */
        TopQueuesAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The queues in the requested order. */
            queues: components["schemas"]["TopQueueAnswer"][];
            /** @description False if there were too many queues to examine all. */
            complete: boolean;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description One queue of the list. */
        TopQueueAnswer: {
            /** @description The id of the queue within its type. */
            queue_id: string;
            /**
             * Format: int64
             * @description Number of jobs that wait in line.
             */
            queued: number;
            /**
             * Format: int64
             * @description Number of jobs whose delay has not passed.
             */
            delayed: number;
            /**
             * Format: int64
             * @description Number of jobs that workers hold.
             */
            leased: number;
            /**
             * Format: int64
             * @description Time for which the queue has been ready, in ms; null if it is not ready.
             */
            due_for: number | null;
            /**
             * Format: int64
             * @description Time since the job at the head of the queue was enqueued, in ms; null if none is queued.
             */
            oldest_age: number | null;
        };
        /** @description The state of a cap after its definition. */
        CapDefined: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The name of the cap. */
            name: string;
            /** @description The limits that all queues with the cap share. */
            limits: components["schemas"]["LimitAnswer"][];
            /**
             * Format: int64
             * @description Maximum number of jobs leased at a time; null for no maximum.
             */
            max_leased: number | null;
            /**
             * Format: int64
             * @description The time before which no queue with the cap gives a job, in ms since the epoch; null without a hold.
             */
            held_until: number | null;
            /**
             * Format: int64
             * @description Number of leases that count towards `max_leased`. It may be above what is leased: one that ended a moment ago, or whose worker is gone, counts until its time is over. null without `max_leased`.
             */
            leased: number | null;
            /**
             * Format: int64
             * @description Time until the cap allows the next lease, in ms, 0 if it does now; null if it is not known, because as many jobs are leased as it allows.
             */
            next_slot_in: number | null;
            /**
             * Format: int64
             * @description Number of slots that leases have used since the cap was defined; a slot whose time passed unused after a shard had reserved it counts too. The difference of two answers, divided by the time between them, is the rate in use.
             */
            slots_used: number;
            /**
             * @description Why the cap allows no lease now: `hold`, `max_leased` or `rate`; null if it allows one.
             * @enum {string|null}
             */
            blocked_by: "hold" | "max_leased" | "rate" | null;
            /** @description The limit that is not delivered in full at its burst; absent if all are. */
            warning?: string;
        };
        /** @description The state of a cap, and what waits for it. */
        CapAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The name of the cap. */
            name: string;
            /** @description The limits that all queues with the cap share. */
            limits: components["schemas"]["LimitAnswer"][];
            /**
             * Format: int64
             * @description Maximum number of jobs leased at a time; null for no maximum.
             */
            max_leased: number | null;
            /**
             * Format: int64
             * @description The time before which no queue with the cap gives a job, in ms since the epoch; null without a hold.
             */
            held_until: number | null;
            /**
             * Format: int64
             * @description Number of leases that count towards `max_leased`. It may be above what is leased: one that ended a moment ago, or whose worker is gone, counts until its time is over. null without `max_leased`.
             */
            leased: number | null;
            /**
             * Format: int64
             * @description Time until the cap allows the next lease, in ms, 0 if it does now; null if it is not known, because as many jobs are leased as it allows.
             */
            next_slot_in: number | null;
            /**
             * Format: int64
             * @description Number of slots that leases have used since the cap was defined; a slot whose time passed unused after a shard had reserved it counts too. The difference of two answers, divided by the time between them, is the rate in use.
             */
            slots_used: number;
            /**
             * @description Why the cap allows no lease now: `hold`, `max_leased` or `rate`; null if it allows one.
             * @enum {string|null}
             */
            blocked_by: "hold" | "max_leased" | "rate" | null;
            /**
             * Format: int64
             * @description Number of queues that have the cap, of all types, also those without jobs.
             */
            queues: number;
            /**
             * Format: int64
             * @description Number of queued jobs of these queues, which wait for it or for their own rate.
             */
            queued: number;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description A page of all caps, in no particular order. */
        CapRows: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The caps of the page. */
            caps: components["schemas"]["CapRow"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description One cap of a list. */
        CapRow: {
            /** @description The name of the cap. */
            name: string;
            /** @description The limits that all queues with the cap share. */
            limits: components["schemas"]["LimitAnswer"][];
            /**
             * Format: int64
             * @description Maximum number of jobs leased at a time; null for no maximum.
             */
            max_leased: number | null;
            /**
             * Format: int64
             * @description The time before which no queue with the cap gives a job, in ms since the epoch; null without a hold.
             */
            held_until: number | null;
            /**
             * Format: int64
             * @description Number of leases that count towards `max_leased`. It may be above what is leased: one that ended a moment ago, or whose worker is gone, counts until its time is over. null without `max_leased`.
             */
            leased: number | null;
            /**
             * Format: int64
             * @description Time until the cap allows the next lease, in ms, 0 if it does now; null if it is not known, because as many jobs are leased as it allows.
             */
            next_slot_in: number | null;
            /**
             * Format: int64
             * @description Number of slots that leases have used since the cap was defined; a slot whose time passed unused after a shard had reserved it counts too. The difference of two answers, divided by the time between them, is the rate in use.
             */
            slots_used: number;
            /**
             * @description Why the cap allows no lease now: `hold`, `max_leased` or `rate`; null if it allows one.
             * @enum {string|null}
             */
            blocked_by: "hold" | "max_leased" | "rate" | null;
        };
        /** @description The confirmation that a cap is deleted. */
        CapDropped: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Number of queues that have the cap. They stand still until it exists again.
             */
            queues: number;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description The state of one window. */
        WindowAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The name of the window. */
            name: string;
            /** @description The name of its time zone. */
            tz: string;
            /** @description The ranges in which it is open. */
            open: components["schemas"]["RangeAnswer"][];
            /** @description The local dates on which nothing is open. */
            except: string[];
            /** @description True if it is open now, by the store's clock. */
            is_open: boolean;
            /**
             * Format: int64
             * @description The time at which it opens next, in ms since the epoch; null if it is open, and if it does not open within 400 days.
             */
            opens_at: number | null;
            /**
             * Format: int64
             * @description The time at which it closes, in ms since the epoch; null if it is closed, and if it stays open for as long as its openings are computed ahead, about 48 hours.
             */
            closes_at: number | null;
            /**
             * Format: int64
             * @description Number of queues and gathered types that use it, by the window of their waiting or leased jobs or by their settings. A queue counts once for its jobs and once for its settings.
             */
            uses: number;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description A range of the local wall clock. */
        RangeAnswer: {
            /** @description The days of the week on which the range begins. */
            days: string;
            /** @description The local time at which the range begins, `HH:MM`. */
            from: string;
            /** @description The local time at which the range ends, `HH:MM`. */
            to: string;
        };
        /** @description A page of all windows, in the order of their creation. */
        WindowRows: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The windows of the page. */
            windows: components["schemas"]["WindowRow"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
        };
        /** @description One window of a list. */
        WindowRow: {
            /** @description The name of the window. */
            name: string;
            /** @description The name of its time zone. */
            tz: string;
            /** @description The ranges in which it is open. */
            open: components["schemas"]["RangeAnswer"][];
            /** @description The local dates on which nothing is open. */
            except: string[];
            /** @description True if it is open now, by the store's clock. */
            is_open: boolean;
            /**
             * Format: int64
             * @description The time at which it opens next, in ms since the epoch; null if it is open, and if it does not open within 400 days.
             */
            opens_at: number | null;
            /**
             * Format: int64
             * @description The time at which it closes, in ms since the epoch; null if it is closed, and if it stays open for as long as its openings are computed ahead, about 48 hours.
             */
            closes_at: number | null;
        };
        /** @description The jobs of a batch by state, over all queues. The six numbers add up to `total` at every moment. */
        BatchAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description Jobs that wait in their queues, those behind a rate or a hold, too.
             */
            queued: number;
            /**
             * Format: int64
             * @description Jobs that wait for their time.
             */
            delayed: number;
            /**
             * Format: int64
             * @description Jobs that a worker holds.
             */
            leased: number;
            /**
             * Format: int64
             * @description Jobs whose work is done.
             */
            finished: number;
            /**
             * Format: int64
             * @description Jobs that are dead letters.
             */
            dead: number;
            /**
             * Format: int64
             * @description Jobs that were cancelled, deleted with their queues or dropped when they expired, and dead letters that were dropped.
             */
            cancelled: number;
            /**
             * Format: int64
             * @description All jobs that were accepted with this batch.
             */
            total: number;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description The state of one schedule. */
        ScheduleAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The name of the schedule. */
            name: string;
            /** @description The cron expression; null with `every`. */
            cron: string | null;
            /**
             * Format: int64
             * @description The time between two slots, in ms; null with `cron`.
             */
            every: number | null;
            /** @description The time zone of `cron`. */
            tz: string;
            /** @description The job, as it was given. */
            job: Record<string, never>;
            /** @description True if no slot enqueues until a resume. */
            paused: boolean;
            /**
             * Format: int64
             * @description The next slot, in ms since the epoch; null if the schedule is paused or has no further slot.
             */
            next_at: number | null;
            /**
             * Format: int64
             * @description The latest slot that was fired, in ms since the epoch; null for none.
             */
            last_at: number | null;
            /** @description The outcome of the enqueue of the latest slot: `queued`, `duplicate`, or why there is no job: `full`, `no_interval`, and so on; null for none. */
            last_status: string | null;
            /**
             * Format: int64
             * @description Number of slots that were fired since the schedule has been in its partition.
             */
            fired: number;
        };
        /** @description A page of the schedules. */
        ScheduleRows: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The schedules with their next slots. */
            schedules: components["schemas"]["ScheduleRow"][];
            /** @description The `cursor` of the next page; null at the end of the list. */
            cursor: string | null;
            /** @description The numbers of the partitions that the answer is without, because their data is broken; absent if there are none. */
            unread_partitions?: number[];
        };
        /** @description One schedule of a list. */
        ScheduleRow: {
            /** @description The name of the schedule. */
            name: string;
            /** @description The cron expression; null with `every`. */
            cron: string | null;
            /**
             * Format: int64
             * @description The time between two slots, in ms; null with `cron`.
             */
            every: number | null;
            /** @description The time zone of `cron`. */
            tz: string;
            /** @description The type of the queue of its jobs. */
            queue_type: string;
            /** @description The id of the queue within its type. */
            queue_id: string;
            /** @description True if no slot enqueues until a resume. */
            paused: boolean;
            /**
             * Format: int64
             * @description The next slot, in ms since the epoch; null if the schedule is paused or has no further slot.
             */
            next_at: number | null;
            /**
             * Format: int64
             * @description The latest slot that was fired, in ms since the epoch; null for none.
             */
            last_at: number | null;
            /** @description The outcome of the enqueue of the latest slot: `queued`, `duplicate`, or why there is no job: `full`, `no_interval`, and so on; null for none. */
            last_status: string | null;
            /**
             * Format: int64
             * @description Number of slots that were fired since the schedule has been in its partition.
             */
            fired: number;
        };
        /** @description The greeting. */
        HelloAnswer: {
            /** @description The greeting of the original server. */
            message: string;
        };
        /** @description The confirmation that the router accepts requests. */
        Ready: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description A problem that keeps no request from being served, or that another router would have, too; absent if there is none. */
            warning?: string;
        };
        /** @description The cluster as this router knows it now. */
        ClusterInfo: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /**
             * Format: int64
             * @description The version of the ring, which grows with each change of members.
             */
            version: number;
            /**
             * Format: int64
             * @description Number of partitions of the data, fixed for the life of the data.
             */
            partitions: number;
            /** @description The shard nodes. */
            members: components["schemas"]["MemberInfo"][];
            /** @description Why no member can be reached, in plain text; absent while one can. */
            reason?: string;
            /** @description The problems of this router itself, such as a certificate that ends soon, in plain text; each names the setting to change. */
            notices: string[];
        };
        /** @description One shard node. */
        MemberInfo: {
            /** @description The id of the node. */
            node: string;
            /** @description The host and port of the node; null if it has no address of its own. */
            address: string | null;
            /** @description True if the node finishes the work it has and takes on nothing new. */
            is_draining: boolean;
            /**
             * Format: int64
             * @description Number of partitions that the node owns.
             */
            partitions: number;
            /** @description The store as the node sees it; null if it has not reported it yet. */
            store: components["schemas"]["StoreView"] | null;
            /** @description Why this router does not reach the node, in plain text; absent while it does. */
            reason?: string;
            /** @description The problems of the node itself, such as a certificate that ends soon, in plain text; each names the setting to change. */
            notices: string[];
        };
        /** @description The store as one node sees it. */
        StoreView: {
            /** @description The kind of store: embedded, single, sentinel or cluster. */
            mode: string;
            /** @description True if the node reaches the store. */
            is_reachable: boolean;
            /** @description The problems of the store, in plain text. */
            notices: string[];
            /**
             * Format: int64
             * @description Number of the node's partitions that it leaves to other nodes, because it does not reach their server.
             */
            partitions_away: number;
            /** @description Why the store or a part of it cannot be used, in plain text; absent while it can. */
            reason?: string;
        };
        /** @description The rights of the caller. A server that asks for no tokens gives everyone all of them. */
        TokenAnswer: {
            /** @description The outcome of the request, or of one job of a bulk call. */
            status: components["schemas"]["SuccessStatus"];
            /** @description The name of the token; null if the server asks for no tokens. */
            name: string | null;
            /** @description The permissions of the token, with those that `admin` includes. */
            ops: components["schemas"]["Permission"][];
            /** @description The patterns of its queue types, in which `*` stands for any text; null for all types. */
            types: string[] | null;
            /** @description The patterns of the named caps that it may use, in which `*` stands for any text; null for all caps. */
            caps: string[] | null;
            /**
             * Format: int64
             * @description The most jobs that a queue may hold after an enqueue with this token; null for no limit.
             */
            max_queued: number | null;
            /**
             * Format: int64
             * @description The most requests per second of this token at one router; null for no limit.
             */
            rps: number | null;
        };
        /** @description One job for the queue that the path names. */
        EnqueueBody: {
            /** @description The content of the job: any JSON value, up to the server's `max_payload_bytes`. It is delivered unchanged. */
            payload: unknown;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. If it is absent, the server makes a UUID. If the queue already has a job of this id that is queued, delayed or leased, the enqueue changes nothing and answers `duplicate`. */
            job_id?: string;
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in milliseconds from 0 to 31536000000; fractions are allowed and rounded up to whole microseconds. 0 means unlimited. An enqueue must carry it only if the queue does not have an interval yet.
             */
            interval?: number;
            /** @description The rate of the queue as number/unit, instead of `interval`: `40/s`, `0.5/s`, `90/min`, `2000/h`, `10000/day`. The interval is rounded up to whole microseconds. */
            rate?: string;
            /** @description Number of times that the job may return to its queue after its lease ended, from 0 to 2147483647; -1 means forever. A job past its limit becomes a dead letter. The default is the server's `default_job_requeue_limit`. */
            requeue_limit?: number;
            /**
             * Format: double
             * @description Number of leases, from 1 to 1000000, that may follow each other at once when the queue is behind its rate; at most two decimals. 1 keeps strict spacing. A fraction such as 1.1 makes up for lateness of up to a tenth of the interval, and two leases are never closer than 0.9 of it. If it is absent, the burst stays as it is (1 for a new queue).
             */
            burst?: number;
            /**
             * Format: double
             * @description Time from now until the job may be leased, in milliseconds from 0 to 31536000000; fractions are allowed.
             */
            delay?: number;
            /**
             * Format: int64
             * @description Length from which on this enqueue is refused with `queue_full`: number of queued and delayed jobs of the queue, 0 or more. If it is absent, the length is not limited.
             */
            max_queued_length?: number;
            /** @description True if this enqueue is sent again after a doubtful answer. The id of a job that is finished, dead, cancelled or expired is a `duplicate` then, too, as long as the server remembers the job. The default is false. */
            repeat?: boolean;
            /** @description Number of slots of the rate that the job takes, from 1 to 1000000: the segments of a message or the tokens of a request. The next job of the queue comes at least cost x interval later. The default is 1. */
            cost?: number;
            /** @description Maximum number of jobs of the queue that are leased at a time, from 1 to 1000000. If it is absent, the maximum stays as it is (none for a new queue). */
            max_leased?: number;
            /** @description The names of up to 3 caps that the queue shares with other queues, of any types. Each lease takes a slot of each of them. An empty list ends that. If it is absent, the caps of the queue stay as they are (none for a new queue). A cap that does not exist stops the queue until it does. */
            caps?: string[];
            /**
             * Format: int64
             * @description The time before which the job may not be leased, in ms since the epoch by the store's clock, instead of `delay`, from 0 to 9007199254740. A time in the past means now.
             */
            at?: number;
            /** @description The place of the job within its queue, from 1 to 9: jobs of a lower number leave first, whenever they came, and never past the queue's rate. The default is 5. */
            priority?: number;
            /**
             * Format: double
             * @description Time from now after which the job is worthless and is no longer leased, in milliseconds over 0 and up to 31536000000; fractions are allowed. It must not end before the job is due.
             */
            expires?: number;
            /**
             * Format: int64
             * @description The time from which on the job is worthless and is no longer leased, in ms since the epoch by the store's clock, instead of `expires`, from 0 to 9007199254740: later than now, and later than the job is due.
             */
            expires_at?: number;
            /** @description The fate of the job if it expires: `dead` makes it a dead letter, `drop` forgets it. If it is absent, the queue or else the gathered type decides, and else it is `dead`. */
            on_expiry?: components["schemas"]["OnExpiry"];
            /** @description How long the job waits after an attempt that failed: min(`max`, `delay` x `factor` ^ (attempt - 1)), less a random part of up to `jitter`. It applies to a lease that ends by time, and to a release without `delay` or with `prefer_retry`. If it is absent, the policy of the queue or else of the gathered type applies, and else there is no wait. */
            retry?: components["schemas"]["RetryBody"];
            /** @description The name of the window outside of which the job is not leased, such as the hours of its recipient. It waits, keeps its place and uses no slot of the rate. The windows of its queue and of its gathered type hold it back, too. 1 to 100 characters of A-Z a-z 0-9 _ - . + @. */
            window?: string;
            /** @description True lets the job leave outside of all windows: its own, that of its queue and that of its gathered type, as a one-time code may. The default is false. */
            ignore_window?: boolean;
            /** @description The batch that counts the job, such as a campaign: all jobs of the type with this batch, in any queue. 1 to 100 characters of A-Z a-z 0-9 _ - . + @ : /, but no part between slashes may be empty, . or ... */
            batch?: string;
            /** @description The context of the trace in which the job is made, in the form of W3C Trace Context, as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`. It is kept with the job, and a dequeue hands it to the worker. If it is absent, a single enqueue takes the request header of this name. */
            traceparent?: string;
            /** @description What tracing systems add to the `traceparent`, a list of `key=value`, as it is: up to 512 printable ASCII characters. Only together with the field `traceparent`. */
            tracestate?: string;
            /** @description Ignored: the path names the queue. */
            queue_type?: unknown;
            /** @description Ignored: the path names the queue. */
            queue_id?: unknown;
        };
        /** @description A retry policy. */
        RetryBody: {
            /**
             * Format: int64
             * @description Wait after the first failed attempt, in milliseconds from 0 to 2592000000 (30 days).
             */
            delay: number;
            /**
             * Format: double
             * @description Factor by which the wait grows with each further attempt, from 1 to 10, with at most two decimals. The default is 2.
             */
            factor?: number;
            /**
             * Format: int64
             * @description The longest wait, in milliseconds from 0 to 2592000000 (30 days). The default is 2592000000.
             */
            max?: number;
            /**
             * Format: double
             * @description The share of the wait that chance may take off, from 0 to 1, with at most two decimals, so that jobs that failed together do not come back together. The default is 0.
             */
            jitter?: number;
        };
        /** @description Jobs for any queues. */
        EnqueueBulk: {
            /** @description 1 to 1000 jobs. The result of each job is at the same place in `results`. */
            jobs: components["schemas"]["EnqueueEntry"][];
        };
        /** @description One job of a bulk enqueue, with the queue that it is for. */
        EnqueueEntry: {
            /** @description The type of the queue, the name that workers ask for: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused. It may hold one `~`, neither first nor last; all queues of such a gathered type are in one partition. */
            queue_type: string;
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The content of the job: any JSON value, up to the server's `max_payload_bytes`. It is delivered unchanged. */
            payload: unknown;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. If it is absent, the server makes a UUID. If the queue already has a job of this id that is queued, delayed or leased, the enqueue changes nothing and answers `duplicate`. */
            job_id?: string;
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in milliseconds from 0 to 31536000000; fractions are allowed and rounded up to whole microseconds. 0 means unlimited. An enqueue must carry it only if the queue does not have an interval yet.
             */
            interval?: number;
            /** @description The rate of the queue as number/unit, instead of `interval`: `40/s`, `0.5/s`, `90/min`, `2000/h`, `10000/day`. The interval is rounded up to whole microseconds. */
            rate?: string;
            /** @description Number of times that the job may return to its queue after its lease ended, from 0 to 2147483647; -1 means forever. A job past its limit becomes a dead letter. The default is the server's `default_job_requeue_limit`. */
            requeue_limit?: number;
            /**
             * Format: double
             * @description Number of leases, from 1 to 1000000, that may follow each other at once when the queue is behind its rate; at most two decimals. 1 keeps strict spacing. A fraction such as 1.1 makes up for lateness of up to a tenth of the interval, and two leases are never closer than 0.9 of it. If it is absent, the burst stays as it is (1 for a new queue).
             */
            burst?: number;
            /**
             * Format: double
             * @description Time from now until the job may be leased, in milliseconds from 0 to 31536000000; fractions are allowed.
             */
            delay?: number;
            /**
             * Format: int64
             * @description Length from which on this enqueue is refused with `queue_full`: number of queued and delayed jobs of the queue, 0 or more. If it is absent, the length is not limited.
             */
            max_queued_length?: number;
            /** @description True if this enqueue is sent again after a doubtful answer. The id of a job that is finished, dead, cancelled or expired is a `duplicate` then, too, as long as the server remembers the job. The default is false. */
            repeat?: boolean;
            /** @description Number of slots of the rate that the job takes, from 1 to 1000000: the segments of a message or the tokens of a request. The next job of the queue comes at least cost x interval later. The default is 1. */
            cost?: number;
            /** @description Maximum number of jobs of the queue that are leased at a time, from 1 to 1000000. If it is absent, the maximum stays as it is (none for a new queue). */
            max_leased?: number;
            /** @description The names of up to 3 caps that the queue shares with other queues, of any types. Each lease takes a slot of each of them. An empty list ends that. If it is absent, the caps of the queue stay as they are (none for a new queue). A cap that does not exist stops the queue until it does. */
            caps?: string[];
            /**
             * Format: int64
             * @description The time before which the job may not be leased, in ms since the epoch by the store's clock, instead of `delay`, from 0 to 9007199254740. A time in the past means now.
             */
            at?: number;
            /** @description The place of the job within its queue, from 1 to 9: jobs of a lower number leave first, whenever they came, and never past the queue's rate. The default is 5. */
            priority?: number;
            /**
             * Format: double
             * @description Time from now after which the job is worthless and is no longer leased, in milliseconds over 0 and up to 31536000000; fractions are allowed. It must not end before the job is due.
             */
            expires?: number;
            /**
             * Format: int64
             * @description The time from which on the job is worthless and is no longer leased, in ms since the epoch by the store's clock, instead of `expires`, from 0 to 9007199254740: later than now, and later than the job is due.
             */
            expires_at?: number;
            /** @description The fate of the job if it expires: `dead` makes it a dead letter, `drop` forgets it. If it is absent, the queue or else the gathered type decides, and else it is `dead`. */
            on_expiry?: components["schemas"]["OnExpiry"];
            /** @description How long the job waits after an attempt that failed: min(`max`, `delay` x `factor` ^ (attempt - 1)), less a random part of up to `jitter`. It applies to a lease that ends by time, and to a release without `delay` or with `prefer_retry`. If it is absent, the policy of the queue or else of the gathered type applies, and else there is no wait. */
            retry?: components["schemas"]["RetryBody"];
            /** @description The name of the window outside of which the job is not leased, such as the hours of its recipient. It waits, keeps its place and uses no slot of the rate. The windows of its queue and of its gathered type hold it back, too. 1 to 100 characters of A-Z a-z 0-9 _ - . + @. */
            window?: string;
            /** @description True lets the job leave outside of all windows: its own, that of its queue and that of its gathered type, as a one-time code may. The default is false. */
            ignore_window?: boolean;
            /** @description The batch that counts the job, such as a campaign: all jobs of the type with this batch, in any queue. 1 to 100 characters of A-Z a-z 0-9 _ - . + @ : /, but no part between slashes may be empty, . or ... */
            batch?: string;
            /** @description The context of the trace in which the job is made, in the form of W3C Trace Context, as `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`. It is kept with the job, and a dequeue hands it to the worker. If it is absent, a single enqueue takes the request header of this name. */
            traceparent?: string;
            /** @description What tracing systems add to the `traceparent`, a list of `key=value`, as it is: up to 512 printable ASCII characters. Only together with the field `traceparent`. */
            tracestate?: string;
        };
        /** @description The lease to end. Without a lease token, the current lease of the job ends. */
        FinishBody: {
            /** @description The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a job acts. */
            lease?: string;
            /** @description The cost that the job turned out to have, from 0 to 1000000. It replaces the cost of this delivery in the rate, once per lease. If it is absent, the cost of the job stands. */
            cost?: number;
            /**
             * Format: double
             * @description Time from now for which the queue gives no job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows. The default is 0.
             */
            hold?: number;
            /**
             * Format: double
             * @description Time from now for which no queue of the gathered type gives a job, in milliseconds from 0 to 86400000 (24 hours). Only for types with a `~` in their name. The default is 0.
             */
            hold_type?: number;
            /** @description Hold a cap that the queue shares with others, such as the account that a carrier throttles: no queue with the cap gives a job for `ms`. It is held once the request has succeeded. If there is no such cap, nothing is held. */
            hold_cap?: components["schemas"]["HoldCapBody"];
            /** @description What the work gave: any JSON value of up to 16 KiB. The state of the job shows it, for as long as the server remembers the job and has room for its result. */
            result?: unknown;
        };
        /** @description A hold of a cap: no queue with the cap gives a job for a time from now. */
        HoldCapBody: {
            /** @description The name of the cap to hold: 1 to 64 characters of `A-Z a-z 0-9 _ - . + @`. */
            name: string;
            /**
             * Format: double
             * @description Time from now for which no queue with the cap gives a job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows.
             */
            ms: number;
        };
        /** @description Leases to end. */
        FinishBulk: {
            /** @description 1 to 1000 jobs. The result of each job is at the same place in `results`. */
            jobs: components["schemas"]["FinishEntry"][];
        };
        /** @description One job of a bulk finish. */
        FinishEntry: {
            /** @description The type of the queue, the name that workers ask for: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused. It may hold one `~`, neither first nor last; all queues of such a gathered type are in one partition. */
            queue_type: string;
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            job_id: string;
            /** @description The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a job acts. */
            lease?: string;
            /** @description The cost that the job turned out to have, from 0 to 1000000. It replaces the cost of this delivery in the rate, once per lease. If it is absent, the cost of the job stands. */
            cost?: number;
            /**
             * Format: double
             * @description Time from now for which the queue gives no job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows. The default is 0.
             */
            hold?: number;
            /**
             * Format: double
             * @description Time from now for which no queue of the gathered type gives a job, in milliseconds from 0 to 86400000 (24 hours). Only for types with a `~` in their name. The default is 0.
             */
            hold_type?: number;
            /** @description Hold a cap that the queue shares with others, such as the account that a carrier throttles: no queue with the cap gives a job for `ms`. It is held once the request has succeeded. If there is no such cap, nothing is held. */
            hold_cap?: components["schemas"]["HoldCapBody"];
            /** @description What the work gave: any JSON value of up to 16 KiB. The state of the job shows it, for as long as the server remembers the job and has room for its result. */
            result?: unknown;
        };
        /** @description The new end of a lease: now + `by`. The lease token is here or in the query. */
        ExtendBody: {
            /**
             * Format: double
             * @description Time from now to the new end of the lease, in milliseconds from 100 to 86400000.
             */
            by: number;
            /** @description The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a job acts. */
            lease?: string;
            /** @description How far the work is: any JSON value of up to 1 KiB. The state of the job shows the latest one until the job has ended. */
            progress?: unknown;
        };
        /** @description Leases to extend. */
        ExtendBulk: {
            /** @description 1 to 1000 jobs. The result of each job is at the same place in `results`. */
            jobs: components["schemas"]["ExtendEntry"][];
        };
        /** @description One job of a bulk extend. */
        ExtendEntry: {
            /** @description The type of the queue, the name that workers ask for: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused. It may hold one `~`, neither first nor last; all queues of such a gathered type are in one partition. */
            queue_type: string;
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            job_id: string;
            /** @description The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a job acts. */
            lease: string;
            /**
             * Format: double
             * @description Time from now to the new end of the lease, in milliseconds from 100 to 86400000.
             */
            by: number;
            /** @description How far the work is: any JSON value of up to 1 KiB. The state of the job shows the latest one until the job has ended. */
            progress?: unknown;
        };
        /** @description A job to give back, which may be leased again after `delay`. The lease token is here or in the query. */
        ReleaseBody: {
            /** @description The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a job acts. */
            lease?: string;
            /**
             * Format: double
             * @description Time from now until the job may be leased, in milliseconds from 0 to 31536000000; fractions are allowed.
             */
            delay?: number;
            /** @description True lets the retry policy of the job, its queue or its gathered type decide how long the job waits; `delay` then applies only if there is none. False lets `delay` decide. The default is true if `delay` is absent, else false. */
            prefer_retry?: boolean;
            /** @description The cost that the job turned out to have, from 0 to 1000000. It replaces the cost of this delivery in the rate, once per lease. If it is absent, the cost of the job stands. */
            cost?: number;
            /**
             * Format: double
             * @description Time from now for which the queue gives no job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows. The default is 0.
             */
            hold?: number;
            /**
             * Format: double
             * @description Time from now for which no queue of the gathered type gives a job, in milliseconds from 0 to 86400000 (24 hours). Only for types with a `~` in their name. The default is 0.
             */
            hold_type?: number;
            /** @description Hold a cap that the queue shares with others, such as the account that a carrier throttles: no queue with the cap gives a job for `ms`. It is held once the request has succeeded. If there is no such cap, nothing is held. */
            hold_cap?: components["schemas"]["HoldCapBody"];
            /** @description False if the delivery does not count as an attempt, such as one that a carrier throttled. The default is true. */
            count?: boolean;
            /** @description The reason of the failure, for a person. It is kept with the job, shown with it and with its dead letter, and replaced by that of a later release. It is cut to 2048 bytes of UTF-8. */
            error?: string;
        };
        /** @description Jobs to give back. */
        ReleaseBulk: {
            /** @description 1 to 1000 jobs. The result of each job is at the same place in `results`. */
            jobs: components["schemas"]["ReleaseEntry"][];
        };
        /** @description One job of a bulk release. */
        ReleaseEntry: {
            /** @description The type of the queue, the name that workers ask for: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused. It may hold one `~`, neither first nor last; all queues of such a gathered type are in one partition. */
            queue_type: string;
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            job_id: string;
            /** @description The lease token that the dequeue returned, 1 to 100 characters. Only the newest token of a job acts. */
            lease: string;
            /**
             * Format: double
             * @description Time from now until the job may be leased, in milliseconds from 0 to 31536000000; fractions are allowed.
             */
            delay?: number;
            /** @description True lets the retry policy of the job, its queue or its gathered type decide how long the job waits; `delay` then applies only if there is none. False lets `delay` decide. The default is true if `delay` is absent, else false. */
            prefer_retry?: boolean;
            /** @description The cost that the job turned out to have, from 0 to 1000000. It replaces the cost of this delivery in the rate, once per lease. If it is absent, the cost of the job stands. */
            cost?: number;
            /**
             * Format: double
             * @description Time from now for which the queue gives no job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows. The default is 0.
             */
            hold?: number;
            /**
             * Format: double
             * @description Time from now for which no queue of the gathered type gives a job, in milliseconds from 0 to 86400000 (24 hours). Only for types with a `~` in their name. The default is 0.
             */
            hold_type?: number;
            /** @description Hold a cap that the queue shares with others, such as the account that a carrier throttles: no queue with the cap gives a job for `ms`. It is held once the request has succeeded. If there is no such cap, nothing is held. */
            hold_cap?: components["schemas"]["HoldCapBody"];
            /** @description False if the delivery does not count as an attempt, such as one that a carrier throttled. The default is true. */
            count?: boolean;
            /** @description The reason of the failure, for a person. It is kept with the job, shown with it and with its dead letter, and replaced by that of a later release. It is cut to 2048 bytes of UTF-8. */
            error?: string;
        };
        /** @description The dead letters to drop. */
        DropBody: {
            /** @description 1 to 1000 dead letters. */
            jobs: components["schemas"]["RedriveEntry"][];
        };
        /** @description One dead letter of the type that the path names. */
        RedriveEntry: {
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            job_id: string;
        };
        /** @description The dead letters to queue again. Without `jobs`, all dead letters of the type. */
        RedriveBody: {
            /** @description 1 to 1000 jobs. The result of each job is at the same place in `results`. */
            jobs?: components["schemas"]["RedriveEntry"][];
        };
        /** @description Changes of a queued or delayed job. An absent field stays as it is; a null expiry means that it never expires. */
        ChangeBody: {
            /** @description The content of the job: any JSON value, up to the server's `max_payload_bytes`. It is delivered unchanged. */
            payload?: unknown;
            /**
             * Format: double
             * @description Time from now until the job may be leased, in milliseconds from 0 to 31536000000; fractions are allowed.
             */
            delay?: number;
            /**
             * Format: int64
             * @description The time before which the job may not be leased, in ms since the epoch by the store's clock, instead of `delay`, from 0 to 9007199254740. A time in the past means now.
             */
            at?: number;
            /** @description The place of the job within its queue, from 1 to 9: jobs of a lower number leave first, whenever they came, and never past the queue's rate. */
            priority?: number;
            /** @description Number of slots of the rate that the job takes, from 1 to 1000000: the segments of a message or the tokens of a request. The next job of the queue comes at least cost x interval later. */
            cost?: number;
            /**
             * Format: double
             * @description Time from now after which the job is worthless and is no longer leased, in milliseconds over 0 and up to 31536000000; fractions are allowed. It must not end before the job is due.
             */
            expires?: number | null;
            /**
             * Format: int64
             * @description The time from which on the job is worthless and is no longer leased, in ms since the epoch by the store's clock, instead of `expires`, from 0 to 9007199254740: later than now, and later than the job is due.
             */
            expires_at?: number | null;
        };
        /** @description Jobs to cancel. */
        CancelBulk: {
            /** @description 1 to 1000 jobs. The result of each job is at the same place in `results`. */
            jobs: components["schemas"]["CancelEntry"][];
        };
        /** @description One job of a bulk cancellation. */
        CancelEntry: {
            /** @description The type of the queue, the name that workers ask for: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused. It may hold one `~`, neither first nor last; all queues of such a gathered type are in one partition. */
            queue_type: string;
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The id of the job, unique within its queue: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            job_id: string;
            /** @description True also cancels a leased job: its lease is lost, and its worker is answered `lease_lost`. Without it, a leased job is refused with `leased`. The default is false. */
            force?: boolean;
        };
        /** @description The jobs of a queue to cancel. */
        CancelPrefixBody: {
            /** @description The jobs whose ids begin with it are cancelled, up to 100 characters. An empty prefix means all jobs. */
            prefix: string;
        };
        /** @description The rate of a queue from now on: `interval` or `rate`, one of the two. */
        RateBody: {
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in milliseconds from 0 to 31536000000; fractions are allowed and rounded up to whole microseconds. 0 means unlimited. An enqueue must carry it only if the queue does not have an interval yet.
             */
            interval?: number;
            /** @description The rate of the queue as number/unit, instead of `interval`: `40/s`, `0.5/s`, `90/min`, `2000/h`, `10000/day`. The interval is rounded up to whole microseconds. */
            rate?: string;
            /**
             * Format: double
             * @description Number of leases, from 1 to 1000000, that may follow each other at once when the queue is behind its rate; at most two decimals. 1 keeps strict spacing. A fraction such as 1.1 makes up for lateness of up to a tenth of the interval, and two leases are never closer than 0.9 of it. If it is absent, the burst stays as it is (1 for a new queue).
             */
            burst?: number;
            /** @description True freezes the rate and burst against the values that enqueues carry, false ends that. If it is absent, the pin stays as it is. */
            pin?: boolean;
        };
        /**
         * @description Settings of a queue: an absent field stays as it is, and null clears the setting.
         *
         *     Settings outlive any idle time, and win over the values that enqueues carry.
         */
        SettingsBody: {
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in milliseconds from 0 to 31536000000; fractions are allowed and rounded up to whole microseconds. 0 means unlimited. An enqueue must carry it only if the queue does not have an interval yet.
             */
            interval?: number | null;
            /** @description The rate of the queue as number/unit, instead of `interval`: `40/s`, `0.5/s`, `90/min`, `2000/h`, `10000/day`. The interval is rounded up to whole microseconds. */
            rate?: string | null;
            /**
             * Format: double
             * @description Number of leases, from 1 to 1000000, that may follow each other at once when the queue is behind its rate; at most two decimals. 1 keeps strict spacing. A fraction such as 1.1 makes up for lateness of up to a tenth of the interval, and two leases are never closer than 0.9 of it. If it is absent, the burst stays as it is (1 for a new queue).
             */
            burst?: number | null;
            /** @description True freezes the rate and burst against the values that enqueues carry, false ends that. If it is absent, the pin stays as it is. */
            pin?: boolean | null;
            /** @description Maximum number of jobs of the queue that are leased at a time, from 1 to 1000000. If it is absent, the maximum stays as it is (none for a new queue). */
            max_leased?: number | null;
            /** @description Number of jobs, from 1 to 100, that the queue gives in its turn while queues of its type compete. */
            weight?: number | null;
            /**
             * Format: double
             * @description Time from now for which the queue gives no job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows.
             */
            hold?: number | null;
            /** @description The retry policy of jobs that have none of their own: how long a job waits after an attempt that failed. */
            retry?: components["schemas"]["RetryBody"] | null;
            /**
             * Format: double
             * @description Time after which jobs without an expiry of their own expire, counted from when each is due, in milliseconds over 0 and up to 31536000000; fractions are allowed.
             */
            expires?: number | null;
            /** @description The fate of expired jobs that do not name one: `dead` makes them dead letters, `drop` forgets them. */
            on_expiry?: components["schemas"]["OnExpiry"] | null;
            /** @description The name of the window outside of which no job is leased, except those that ignore windows. Jobs with a window of their own wait until both are open. */
            window?: string | null;
            /** @description The names of up to 3 caps that the queue shares with other queues, of any types, which enqueues then do not change. An empty list clears them, as null does. */
            caps?: string[] | null;
        };
        /** @description The time of a hold: `for` or `until`, one of the two. Without both, the queue is paused until it is resumed. */
        PauseBody: {
            /**
             * Format: double
             * @description Hold the queue for this time instead of pausing it, in milliseconds from 1 to 86400000 (24 hours). The hold ends by itself.
             */
            for?: number;
            /**
             * Format: int64
             * @description Hold the queue until this time instead of pausing it, in ms since the epoch: later than now, and at most 24 hours from now.
             */
            until?: number;
        };
        /** @description The options of the deletion of a queue. */
        DeleteQueueBody: {
            /** @description True also forgets the rate of the queue, once its ready time has passed. The default is false. */
            purge_all?: boolean;
        };
        /**
         * @description Settings of a gathered type: an absent field stays as it is, and null clears the setting.
         *
         *     `rate` or `interval`, with or without `burst`, is short for `limits` with one limit of unit `job`.
         */
        TypeBody: {
            /** @description Up to 3 limits, each of which every lease of the type must keep. They replace all present ones. A limit that is new begins one interval after the type's last lease. */
            limits?: components["schemas"]["LimitEntry"][] | null;
            /**
             * Format: double
             * @description Minimum time between two leases of the queues, or for each unit of cost, in milliseconds over 0 and up to 31536000000; fractions are allowed and rounded up to whole microseconds.
             */
            interval?: number | null;
            /** @description The rate that the queues share, as number/unit, instead of `interval`: `40/s`, `90000/min`. The interval is rounded up to whole microseconds. */
            rate?: string | null;
            /**
             * Format: double
             * @description Number of leases, or units of cost, from 1 to 1000000, that may follow each other at once when the queues together are behind the rate; at most two decimals. 1 keeps strict spacing.
             */
            burst?: number | null;
            /** @description Maximum number of jobs of all queues of the type together that are leased at a time, from 1 to 1000000. */
            max_leased?: number | null;
            /**
             * Format: double
             * @description Time from now for which no queue of the gathered type gives a job, in milliseconds from 0 to 86400000 (24 hours). Only for types with a `~` in their name.
             */
            hold?: number | null;
            /** @description The retry policy of jobs that have none of their own: how long a job waits after an attempt that failed. */
            retry?: components["schemas"]["RetryBody"] | null;
            /**
             * Format: double
             * @description Time after which jobs without an expiry of their own expire, counted from when each is due, in milliseconds over 0 and up to 31536000000; fractions are allowed.
             */
            expires?: number | null;
            /** @description The fate of expired jobs that do not name one: `dead` makes them dead letters, `drop` forgets them. */
            on_expiry?: components["schemas"]["OnExpiry"] | null;
            /** @description The name of the window outside of which no job is leased, except those that ignore windows. Jobs with a window of their own wait until both are open. */
            window?: string | null;
            /** @description Up to 3 quotas, each of which every lease of the type must keep. They replace all present ones. A quota with the `unit`, `period` and `tz` of a present one goes on with what is used of that. */
            quotas?: components["schemas"]["QuotaEntry"][] | null;
        };
        /** @description A rate that the queues of a gathered type or of a cap share: `interval` or `rate`, one of the two. */
        LimitEntry: {
            /**
             * Format: double
             * @description Minimum time between two leases of the queues, or for each unit of cost, in milliseconds over 0 and up to 31536000000; fractions are allowed and rounded up to whole microseconds.
             */
            interval?: number;
            /** @description The rate that the queues share, as number/unit, instead of `interval`: `40/s`, `90000/min`. The interval is rounded up to whole microseconds. */
            rate?: string;
            /**
             * Format: double
             * @description Number of leases, or units of cost, from 1 to 1000000, that may follow each other at once when the queues together are behind the rate; at most two decimals. 1 keeps strict spacing. The default is 1.
             */
            burst?: number;
            /** @description What the rate counts: `job` counts each lease as 1, `cost` counts the `cost` of its job. The default is `job`. */
            unit?: components["schemas"]["LimitUnit"];
        };
        /** @description A quota of a gathered type: how many jobs, or units of cost, it gives in each local day or hour. */
        QuotaEntry: {
            /**
             * Format: int64
             * @description The most jobs, or units of cost, that all queues of the type together give in one period, from 1 to 1000000000000.
             */
            quota: number;
            /** @description The period that the quota counts: each `day` or each `hour` of the local clock of `tz`. A day on which that clock is changed has 23 or 25 hours. */
            period: components["schemas"]["PeriodLength"];
            /** @description The name of a time zone in the IANA database, such as `America/New_York`, `Asia/Kolkata` or `UTC`. The default is `UTC`. */
            tz?: string;
            /** @description What the rate counts: `job` counts each lease as 1, `cost` counts the `cost` of its job. The default is `job`. */
            unit?: components["schemas"]["LimitUnit"];
        };
        /**
         * @description The definition of a cap, which replaces the present one: a limit that is absent is none.
         *
         *     `rate` or `interval`, with or without `burst`, is short for `limits` with one limit of unit `job`.
         */
        CapBody: {
            /** @description Up to 3 limits, each of which every lease with the cap must keep. If they are absent, there is none. */
            limits?: components["schemas"]["LimitEntry"][] | null;
            /**
             * Format: double
             * @description Minimum time between two leases of the queues, or for each unit of cost, in milliseconds over 0 and up to 31536000000; fractions are allowed and rounded up to whole microseconds.
             */
            interval?: number | null;
            /** @description The rate that the queues share, as number/unit, instead of `interval`: `40/s`, `90000/min`. The interval is rounded up to whole microseconds. */
            rate?: string | null;
            /**
             * Format: double
             * @description Number of leases, or units of cost, from 1 to 1000000, that may follow each other at once when the queues together are behind the rate; at most two decimals. 1 keeps strict spacing.
             */
            burst?: number | null;
            /** @description Maximum number of jobs of all queues with the cap together that are leased at a time, from 1 to 1000000. If it is absent, there is no maximum. */
            max_leased?: number | null;
            /**
             * Format: double
             * @description Time from now for which no queue with the cap gives a job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows. null ends it, and if it is absent, it stays as it is.
             */
            hold?: number | null;
        };
        /** @description The time of a hold. */
        HoldNamedCap: {
            /**
             * Format: double
             * @description Time from now for which no queue with the cap gives a job, in milliseconds from 0 to 86400000 (24 hours). A hold ends by itself and only grows.
             */
            for: number;
        };
        /** @description The definition of a window: a time is open if the clock of the zone reads a minute of one of its ranges. */
        WindowBody: {
            /** @description The name of a time zone in the IANA database, such as `America/New_York`, `Asia/Kolkata` or `UTC`. */
            tz: string;
            /** @description 1 to 50 ranges in which the window is open. */
            open: components["schemas"]["RangeEntry"][];
            /** @description Local dates, `YYYY-MM-DD`, on which nothing is open. A range that began the day before ends at midnight. At most 400. */
            except?: string[];
        };
        /** @description A range of the local wall clock. */
        RangeEntry: {
            /** @description The days of the week on which the range begins: `daily`, a span such as `mon-sat`, or a list such as `mon,wed,fri`. */
            days: string;
            /** @description The local time at which the range begins, `HH:MM`. */
            from: string;
            /** @description The local time at which the range ends, `HH:MM`; `24:00` for the end of the day. A range whose end is earlier than its begin passes midnight, and belongs to the day on which it begins. */
            to: string;
        };
        /** @description The slots of a schedule, `cron` or `every`, one of the two, and the job that each slot enqueues. */
        ScheduleBody: {
            /** @description The slots as a cron expression of five fields: minute, hour, day of the month, month, day of the week. Days are numbers or names; `L` is the last day of the month, `mon#1` the first Monday in it. If both days are restricted, either of them is enough. A time that a change of the clocks skips is made up for right after it, and one that comes twice counts once; if the minute or the hour begins with `*`, neither is so. */
            cron?: string;
            /**
             * Format: int64
             * @description The time between two slots, in ms from 1000 to 31536000000. The first one comes after this time.
             */
            every?: number;
            /** @description The time zone of `cron`. The default is `UTC`. */
            tz?: string;
            /** @description The job that each slot enqueues, as an entry of a bulk enqueue. */
            job: components["schemas"]["ScheduledEntry"];
            /** @description True if the queue gets its rate later. Without it, a job that names no rate is refused, as by an enqueue, while its queue has none. The default is false. */
            rate_later?: boolean;
        };
        /** @description The job that each slot enqueues, with the queue that it is for. */
        ScheduledEntry: {
            /** @description The type of the queue, the name that workers ask for: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @`; `.` and `..` alone are refused. It may hold one `~`, neither first nor last; all queues of such a gathered type are in one partition. */
            queue_type: string;
            /** @description The id of the queue within its type: 1 to 100 characters of `A-Z a-z 0-9 _ - . + @ : /`; no part between slashes may be empty, `.` or `..`. A path has `%2F` for a slash in it. */
            queue_id: string;
            /** @description The content of the job: any JSON value, up to the server's `max_payload_bytes`. It is delivered unchanged. */
            payload: unknown;
            /**
             * Format: double
             * @description Minimum time between two leases of the queue, in milliseconds from 0 to 31536000000; fractions are allowed and rounded up to whole microseconds. 0 means unlimited. An enqueue must carry it only if the queue does not have an interval yet.
             */
            interval?: number;
            /** @description The rate of the queue as number/unit, instead of `interval`: `40/s`, `0.5/s`, `90/min`, `2000/h`, `10000/day`. The interval is rounded up to whole microseconds. */
            rate?: string;
            /** @description Number of times that the job may return to its queue after its lease ended, from 0 to 2147483647; -1 means forever. A job past its limit becomes a dead letter. The default is the server's `default_job_requeue_limit`. */
            requeue_limit?: number;
            /**
             * Format: double
             * @description Number of leases, from 1 to 1000000, that may follow each other at once when the queue is behind its rate; at most two decimals. 1 keeps strict spacing. A fraction such as 1.1 makes up for lateness of up to a tenth of the interval, and two leases are never closer than 0.9 of it. If it is absent, the burst stays as it is (1 for a new queue).
             */
            burst?: number;
            /**
             * Format: int64
             * @description Length from which on this enqueue is refused with `queue_full`: number of queued and delayed jobs of the queue, 0 or more. If it is absent, the length is not limited.
             */
            max_queued_length?: number;
            /** @description True if this enqueue is sent again after a doubtful answer. The id of a job that is finished, dead, cancelled or expired is a `duplicate` then, too, as long as the server remembers the job. The default is false. */
            repeat?: boolean;
            /** @description Number of slots of the rate that the job takes, from 1 to 1000000: the segments of a message or the tokens of a request. The next job of the queue comes at least cost x interval later. The default is 1. */
            cost?: number;
            /** @description Maximum number of jobs of the queue that are leased at a time, from 1 to 1000000. If it is absent, the maximum stays as it is (none for a new queue). */
            max_leased?: number;
            /** @description The names of up to 3 caps that the queue shares with other queues, of any types. Each lease takes a slot of each of them. An empty list ends that. If it is absent, the caps of the queue stay as they are (none for a new queue). A cap that does not exist stops the queue until it does. */
            caps?: string[];
            /** @description The place of the job within its queue, from 1 to 9: jobs of a lower number leave first, whenever they came, and never past the queue's rate. The default is 5. */
            priority?: number;
            /**
             * Format: double
             * @description Time from now after which the job is worthless and is no longer leased, in milliseconds over 0 and up to 31536000000; fractions are allowed. It must not end before the job is due.
             */
            expires?: number;
            /** @description The fate of the job if it expires: `dead` makes it a dead letter, `drop` forgets it. If it is absent, the queue or else the gathered type decides, and else it is `dead`. */
            on_expiry?: components["schemas"]["OnExpiry"];
            /** @description How long the job waits after an attempt that failed: min(`max`, `delay` x `factor` ^ (attempt - 1)), less a random part of up to `jitter`. It applies to a lease that ends by time, and to a release without `delay` or with `prefer_retry`. If it is absent, the policy of the queue or else of the gathered type applies, and else there is no wait. */
            retry?: components["schemas"]["RetryBody"];
            /** @description The name of the window outside of which the job is not leased, such as the hours of its recipient. It waits, keeps its place and uses no slot of the rate. The windows of its queue and of its gathered type hold it back, too. 1 to 100 characters of A-Z a-z 0-9 _ - . + @. */
            window?: string;
            /** @description True lets the job leave outside of all windows: its own, that of its queue and that of its gathered type, as a one-time code may. The default is false. */
            ignore_window?: boolean;
            /** @description The batch that counts the job, such as a campaign: all jobs of the type with this batch, in any queue. 1 to 100 characters of A-Z a-z 0-9 _ - . + @ : /, but no part between slashes may be empty, . or ... */
            batch?: string;
        };
        /**
         * @description The reason why a job became a dead letter: it passed its requeue limit, or it expired.
         * @enum {string}
         */
        DeadReason: "limit" | "expired";
        /**
         * @description The state of a job. Finished, cancelled and expired jobs are remembered for a while.
         *
         *     An expired job that was kept is `dead`. The jobs that go with a deleted queue are not remembered, unless they were leased before.
         * @enum {string}
         */
        JobState: "queued" | "delayed" | "leased" | "finished" | "dead" | "cancelled" | "expired";
        /**
         * @description A thing that a limit of a type counts.
         * @enum {string}
         */
        LimitUnit: "job" | "cost";
        /**
         * @description The fate of a job that expires: it becomes a dead letter, or it is dropped and counts as cancelled.
         * @enum {string}
         */
        OnExpiry: "dead" | "drop";
        /**
         * @description The period of a quota.
         * @enum {string}
         */
        PeriodLength: "day" | "hour";
        /**
         * @description A permission of a token.
         * @enum {string}
         */
        Permission: "produce" | "work" | "read" | "operate" | "admin";
        /**
         * @description The kinds of failures, each with its HTTP status. Later versions may add codes: a client handles a code that it does not know by the HTTP status.
         *
         *     - 400, `invalid_request`: An invalid request; the message names the field. Nothing was done.
         *     - 401, `unauthorized`: A missing or unknown token. Nothing was done.
         *     - 403, `forbidden`: A forbidden request: the token does not permit it, or the web page or the host name. Nothing was done.
         *     - 404, `not_found`: A queue, job or path that does not exist. Nothing was done.
         *     - 405, `method_not_allowed`: A method that an existing path does not support. Nothing was done.
         *     - 408, `too_slow`: A request body that did not arrive in time. Nothing was done.
         *     - 409, `batch_cancelled`: A job or a dead letter whose batch was cancelled. Nothing was done.
         *     - 409, `duplicate`: A job id that a live job has already. Nothing was done.
         *     - 409, `lease_lost`: A lease that no longer counts: the job has a newer lease, is dead or was deleted. Nothing was done.
         *     - 409, `leased`: A job that a worker holds, so that it is not cancelled without `force`. Nothing was done.
         *     - 409, `not_waiting`: A job that is not queued or delayed, so that it cannot be changed. Nothing was done.
         *     - 409, `too_many_windows`: A dead letter whose queue has waiting or leased jobs of as many other windows as it may. Nothing was done.
         *     - 409, `window_used`: A window that jobs or settings use, so that it is not deleted. Nothing was done.
         *     - 413, `too_large`: A payload or a body above its size limit. Nothing was done.
         *     - 415, `unsupported_encoding`: A body with an unsupported Content-Encoding. Nothing was done.
         *     - 429, `overloaded`: A process at its limit of unfinished work. Nothing was done; retry here or on another process.
         *     - 429, `queue_full`: A queue that holds as many jobs as the enqueue allows. Nothing was done.
         *     - 500, `internal_error`: An unexpected error of the server, which its log explains. The request may have been carried out.
         *     - 503, `unavailable`: A store or shard that cannot be reached, or that refused the call before it started. Nothing was done.
         *     - 504, `outcome_unknown`: A call that was sent and not answered: it may have been done. Repeat it with the same ids.
         *     - 507, `store_full`: A store without free memory: it refuses new jobs; dequeue and finish still work. Nothing was done.
         * @enum {string}
         */
        FailureCode: "invalid_request" | "unauthorized" | "forbidden" | "not_found" | "method_not_allowed" | "too_slow" | "batch_cancelled" | "duplicate" | "lease_lost" | "leased" | "not_waiting" | "too_many_windows" | "window_used" | "too_large" | "unsupported_encoding" | "overloaded" | "queue_full" | "internal_error" | "unavailable" | "outcome_unknown" | "store_full";
        /**
         * @description The status of an answer that reports success.
         * @enum {string}
         */
        SuccessStatus: "success";
        /**
         * @description The status of an answer that reports an enqueued job.
         * @enum {string}
         */
        QueuedStatus: "queued";
        /**
         * @description The status of an answer that reports a failure.
         * @enum {string}
         */
        FailureStatus: "failure";
        /** @description The leased jobs: a list in `jobs` if the request has `count`, else the fields of one job. */
        DequeueAnswer: components["schemas"]["SingleDequeueAnswer"] | components["schemas"]["BulkDequeueAnswer"];
        /** @description The result of one job of a bulk enqueue or redrive. */
        EnqueueResult: components["schemas"]["Queued"] | components["schemas"]["FailureAnswer"];
        /** @description The result of one job of a bulk finish, extend or release. */
        LeaseResult: components["schemas"]["LeaseDone"] | components["schemas"]["FailureAnswer"];
        /** @description The result of one job of a bulk cancellation. */
        CancelResult: components["schemas"]["Cancelled"] | components["schemas"]["FailureAnswer"];
    };
    responses: {
        /** @description `invalid_request`: An invalid request; the message names the field. Nothing was done. */
        InvalidRequest: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `unauthorized`: A missing or unknown token. Nothing was done. */
        Unauthorized: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "WWW-Authenticate": components["headers"]["TokenChallenge"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `forbidden`: A forbidden request: the token does not permit it, or the web page or the host name. Nothing was done. */
        Forbidden: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `too_slow`: A request body that did not arrive in time. Nothing was done. */
        TooSlow: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `batch_cancelled`: A job or a dead letter whose batch was cancelled. Nothing was done. */
        BatchCancelled: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `too_large`: A payload or a body above its size limit. Nothing was done. */
        TooLarge: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `unsupported_encoding`: A body with an unsupported Content-Encoding. Nothing was done. */
        UnsupportedEncoding: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `overloaded`: A process at its limit of unfinished work. Nothing was done; retry here or on another process. `queue_full`: A queue that holds as many jobs as the enqueue allows. Nothing was done. */
        OverloadedOrQueueFull: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "Retry-After": components["headers"]["RetryAfterSometimes"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `unavailable`: A store or shard that cannot be reached, or that refused the call before it started. Nothing was done. */
        Unavailable: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `outcome_unknown`: A call that was sent and not answered: it may have been done. Repeat it with the same ids. */
        OutcomeUnknown: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `store_full`: A store without free memory: it refuses new jobs; dequeue and finish still work. Nothing was done. */
        StoreFull: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `overloaded`: A process at its limit of unfinished work. Nothing was done; retry here or on another process. */
        Overloaded: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                "Retry-After": components["headers"]["RetryAfter"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `not_found`: A queue, job or path that does not exist. Nothing was done. */
        NotFound: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `lease_lost`: A lease that no longer counts: the job has a newer lease, is dead or was deleted. Nothing was done. */
        LeaseLost: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `batch_cancelled`: A job or a dead letter whose batch was cancelled. Nothing was done. `duplicate`: A job id that a live job has already. Nothing was done. `too_many_windows`: A dead letter whose queue has waiting or leased jobs of as many other windows as it may. Nothing was done. */
        BatchCancelledOrDuplicateOrTooManyWindows: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `not_waiting`: A job that is not queued or delayed, so that it cannot be changed. Nothing was done. */
        NotWaiting: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `leased`: A job that a worker holds, so that it is not cancelled without `force`. Nothing was done. */
        JobLeased: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `window_used`: A window that jobs or settings use, so that it is not deleted. Nothing was done. */
        WindowUsed: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
        /** @description `internal_error`: An unexpected error of the server, which its log explains. The request may have been carried out. */
        UnexpectedFailure: {
            headers: {
                "X-Request-Id": components["headers"]["RequestId"];
                [name: string]: unknown;
            };
            content: {
                "application/json": components["schemas"]["FailureAnswer"];
            };
        };
    };
    parameters: {
        /** @description An id for the request, which log lines about it carry: 1 to 128 characters of `A-Z a-z 0-9 . _ : / + = @ -`. Any other value is replaced by a new id. */
        GivenRequestId: string;
    };
    requestBodies: never;
    headers: {
        /** @description The id of the request: the one that it sent, or a new one. Log lines about the request carry it. */
        RequestId: string;
        /** @description Seconds to wait before a retry. */
        RetryAfter: string;
        /** @description Seconds to wait before a retry; absent if no time can be told. */
        RetryAfterSometimes: string;
        /** @description States that a bearer token is required. */
        TokenChallenge: string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
