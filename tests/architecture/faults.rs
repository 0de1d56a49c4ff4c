//! What we promise to survive, and the test in `tests/faults/` or `tests/links/` that shows it.
//!
//! None of these may panic, hang, leak a task, thread, descriptor or memory, or disturb another peer
//! of the same socket.

/// Whether a project without `tests/faults.rs` is wrong. Once the file is there, the whole list counts
/// in any case.
pub(crate) const REQUIRED: bool = true;

/// The fault, and the name of its test.
pub(crate) const FAULTS: &[(&str, &str)] = &[
    // Handshakes.
    ("garbage instead of a handshake", "garbage_instead_of_a_handshake_closes_only_that_connection"),
    ("a handshake for an incompatible protocol", "incompatible_protocol_is_refused_and_told"),
    ("one byte a second", "slow_handshake_ends_at_its_deadline"),
    ("silent connections, tcp", "silent_strangers_do_not_delay_an_honest_peer_over_tcp"),
    ("silent connections, ipc", "silent_strangers_do_not_delay_an_honest_peer_over_ipc"),
    // Frames.
    ("a frame length of 2^63", "frame_length_of_two_to_the_63_is_refused_without_allocating"),
    ("a frame length of the limit + 1", "frame_one_byte_over_the_limit_is_refused_and_counted"),
    ("an all-ones length", "all_ones_frame_length_is_refused_without_allocating"),
    ("a cut in every byte position of a frame", "cut_at_every_byte_of_a_frame_delivers_nothing_broken"),
    ("a wrong ipc type byte", "wrong_ipc_type_byte_closes_the_connection"),
    // Peers that misbehave or die.
    ("a subscriber that sends", "subscriber_that_sends_disturbs_nobody"),
    ("a peer that never reads", "peer_that_never_reads_costs_bounded_memory"),
    ("a REP peer that dies", "request_goes_elsewhere_when_its_rep_dies_before_replying"),
    ("a reply lost in the kernel", "reply_lost_in_the_kernel_is_asked_for_again"),
    ("an oversize request", "oversize_request_fails_instead_of_being_resent_for_ever"),
    ("a listener restarted", "listener_restarted_on_the_same_port_under_load_is_found_again"),
    // The machine.
    ("descriptors exhausted", "accept_without_descriptors_backs_off_and_recovers"),
    ("a stale ipc path", "stale_ipc_path_is_taken_over"),
    ("a foreign ipc path", "foreign_ipc_path_is_left_alone"),
    ("an unwritable ipc path", "unwritable_ipc_path_is_an_error_that_names_it"),
    ("a name that does not resolve", "name_that_does_not_resolve_is_tried_again_and_told"),
    ("a name whose addresses change", "name_whose_addresses_change_is_resolved_again"),
    // TLS.
    ("an expired certificate", "expired_certificate_is_refused_and_told_on_both_sides"),
    ("a certificate for another host", "certificate_for_another_host_is_refused_and_told_on_both_sides"),
    ("an unknown authority", "unknown_authority_is_refused_and_told_on_both_sides"),
    ("a missing client certificate", "missing_client_certificate_is_refused_and_told_on_both_sides"),
    ("a certificate replaced in mid-run", "certificate_replaced_in_mid_run_is_seen_by_new_connections_alone"),
    ("plain bytes to a TLS port", "plain_bytes_to_a_tls_port_are_no_tls"),
    ("TLS to a plain port", "tls_to_a_plain_port_is_refused_and_told_on_both_sides"),
    ("a TLS handshake that stalls", "stalled_tls_handshake_ends_at_its_deadline"),
    ("silent connections, tls", "silent_strangers_do_not_keep_an_honest_peer_out_over_tls"),
    ("a gigantic certificate chain", "gigantic_certificate_chain_is_refused_and_told_on_both_sides"),
    ("changed bytes in TLS", "changed_bytes_in_tls_end_their_connection_alone"),
    ("a flood of new keys", "flood_of_key_updates_ends_its_connection_alone"),
    (
        "TLS cut in every byte position of a frame",
        "tls_cut_within_a_frame_is_a_loss_and_between_frames_an_end",
    ),
    // Headers.
    ("malformed backtraces", "malformed_backtrace_is_dropped_and_counted"),
    ("a hop limit at the bound", "message_at_the_hop_limit_is_delivered"),
    ("a hop limit over the bound", "message_over_the_hop_limit_is_dropped_and_counted"),
    ("a reply with an unknown id", "reply_with_an_unknown_id_is_dropped_and_counted"),
    ("a reply twice", "second_reply_to_a_request_is_dropped_and_counted"),
    // Misuse.
    ("an unsubscribe of nothing", "unsubscribe_of_what_was_never_subscribed_is_an_error"),
    ("a ring of inproc sockets and devices", "ring_of_inproc_sockets_and_devices_ends_by_the_hop_limit"),
    ("use after close", "use_after_close_says_closed"),
    ("close from every state", "close_returns_from_every_state"),
    ("close from several threads", "close_from_several_threads_returns_while_a_peer_never_reads"),
    // Futures and runtimes.
    ("futures dropped after k polls", "every_public_future_may_be_dropped_after_any_number_of_polls"),
    ("the runtime dropped", "runtime_dropped_under_live_sockets_ends_their_operations"),
    ("blocking calls inside a runtime", "blocking_calls_inside_a_current_thread_runtime_return"),
    ("fork", "fork_of_a_process_that_holds_sockets_is_documented"),
    // Plain connections, in tests/links.
    ("a link of another version", "a_peer_of_another_version_is_refused_with_a_clear_error_on_both_sides"),
    ("a link with a wrong token", "a_wrong_token_is_denied_on_either_side"),
    ("a link that speaks something else", "what_is_no_link_is_told_apart_and_disturbs_nobody"),
    ("a link's handshake that stalls", "a_handshake_that_stalls_ends_at_its_deadline"),
    ("a link's handshake cut at every byte", "a_handshake_cut_at_every_byte_leaves_nothing"),
    ("half-open links", "silent_strangers_do_not_keep_an_honest_peer_out"),
    (
        "a link that breaks the rules, by frames too large and messages that do not exist",
        "whoever_breaks_the_rules_is_told_how_and_nobody_else_is_disturbed",
    ),
    ("a link that ignores its credit", "a_stranger_that_ignores_its_credit_is_dismissed"),
    ("a flood over the rate", "a_flood_over_the_rate_is_dismissed_where_that_is_wanted"),
    ("a flood of pings", "a_flood_of_pings_is_dismissed"),
    ("a link that falls silent", "a_peer_that_falls_silent_is_found_dead"),
    ("a link that stops reading", "a_peer_that_stops_reading_costs_bounded_memory_and_no_close"),
    ("a link cut inside a message", "a_connection_cut_inside_a_message_is_lost_and_delivers_nothing_broken"),
    ("two links dialled at once", "two_hosts_that_dial_each_other_at_once_have_one_connection"),
    ("a handler that fails", "handlers_answer_or_fail_by_name_over_every_transport"),
    ("the runtime dropped under links", "a_runtime_that_goes_ends_all_operations"),
];
