// Unsafe: a ticket here is a copy of a connection's, and connections that use it get a copy of it
// (see `ctls_keep_ticket`), so that nobody changes it; its references are counted atomically.

internal import CUpdraftTLS
internal import Synchronization

/// What a server gave a client to come back with.
final class Ticket: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Takes the reference over.
    init(_ pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit {
        ctls_ticket_free(pointer)
    }

    var isSingleUse: Bool { ctls_ticket_is_single_use(pointer) }
}

/// The tickets of a client context, by server; shared by the loops that use the context.
final class TicketCache: Sendable {
    /// Servers that are remembered, and tickets of each.
    static let serversMax = 1_000
    static let ticketsMax = 4

    private struct State {
        var tickets: [String: [Ticket]] = [:]
        /// The keys, those that came first in front.
        var order: [String] = []
    }

    private let state = Mutex(State())

    /// A ticket for the server. One of TLS 1.3 is used once, so that connections can't be linked.
    func take(_ key: String) -> Ticket? {
        state.withLock { state in
            guard let newest = state.tickets[key]?.last else { return nil }
            if newest.isSingleUse { state.tickets[key]?.removeLast() }
            return newest
        }
    }

    /// Drops what the server gave: a connection to it has failed, and its session must not be taken
    /// up again (RFC 5246, 7.2.2; RFC 8446, 6.2).
    func forget(_ key: String) {
        // The key keeps its place in the order.
        let dropped = state.withLock { state in
            state.tickets[key] == nil ? nil : state.tickets.updateValue([], forKey: key)
        }
        withExtendedLifetime(dropped) {}
    }

    func add(_ ticket: Ticket, _ key: String) {
        // What is dropped is freed after the lock is.
        let dropped: [Ticket] = state.withLock { state in
            var dropped: [Ticket] = []
            if state.tickets[key] == nil {
                if state.order.count >= TicketCache.serversMax {
                    dropped += state.tickets.removeValue(forKey: state.order.removeFirst()) ?? []
                }
                state.order.append(key)
            }
            var tickets = state.tickets[key] ?? []
            tickets.append(ticket)
            if tickets.count > TicketCache.ticketsMax { dropped.append(tickets.removeFirst()) }
            state.tickets[key] = tickets
            return dropped
        }
        withExtendedLifetime(dropped) {}
    }
}
