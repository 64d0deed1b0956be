/// Tasks and callbacks that wait until bytes have left, in the order of those bytes.
///
/// A place costs the same however many there are: the ones that are due are taken from the front,
/// and what a cancelled task leaves behind is swept away when it has become half of the line.
///
/// A class, because few streams have it: it is a pointer in all of them.
final class SendLine {
    /// What a wait is for. Within either kind, who comes later waits for a later position.
    enum Goal {
        /// All that was written before.
        case sent
        /// Room for more: a fixed number of bytes may be left.
        case room
    }

    enum Party {
        case task(Waiter)
        case callback(Callback)

        /// Whether a task has given its place up.
        fileprivate var isGone: Bool {
            if case .task(let waiter) = self { return !waiter.isWaiting }
            return false
        }
    }

    struct Callback {
        let action: (Result<Void, StreamError>) throws -> Void
        let context: CallbackContext?

        /// About what it takes while it is outstanding: its place, its closure and what that holds,
        /// and the task that carries the locals.
        var bytes: Int { context == nil ? 128 : 1_536 }
    }

    private struct Place {
        /// Due when so many bytes in all have been sent.
        let target: UInt64
        let party: Party
    }

    /// A line that has grown beyond this is not kept when it is empty.
    private static let capacityKept = 16

    private var sent = RingBuffer<Place>(capacity: 2)
    private var room = RingBuffer<Place>(capacity: 1)
    /// Tasks that have given up since the line was swept; some of them had been taken out already.
    private var gaveUp = 0

    /// What the callbacks take that are outstanding.
    private(set) var callbackBytes = 0

    var count: Int { sent.count + room.count }

    /// Whether the line is of no use at the time, and too large to be kept.
    var isSpent: Bool {
        count == 0 && sent.capacity + room.capacity > SendLine.capacityKept
    }

    /// Whether a task waits.
    var hasTasks: Bool { !tasks.isEmpty }

    /// The tasks that wait.
    var tasks: [Waiter] {
        (sent.prefix(sent.count) + room.prefix(room.count)).compactMap { place in
            guard case .task(let waiter) = place.party, waiter.isWaiting else { return nil }
            return waiter
        }
    }

    /// Callbacks that are outstanding.
    var callbackCount: Int {
        (sent.prefix(sent.count) + room.prefix(room.count)).count { place in
            if case .callback = place.party { true } else { false }
        }
    }

    func append(_ party: Party, at target: UInt64, for goal: Goal = .sent) {
        let place = Place(target: target, party: party)
        if case .callback(let callback) = party { callbackBytes += callback.bytes }
        switch goal {
        case .sent: sent.append(place)
        case .room: room.append(place)
        }
    }

    /// Takes the next one out, if so many bytes are enough for it.
    func popFirst(upTo position: UInt64) -> Party? {
        // A write that waits for room stands behind one whose last byte makes it.
        let isRoomFirst = (room.first?.target ?? .max) < (sent.first?.target ?? .max)
        guard let place = isRoomFirst ? room.first : sent.first, place.target <= position else {
            return nil
        }
        let party = (isRoomFirst ? room.popFirst() : sent.popFirst())?.party
        if case .callback(let callback) = party { callbackBytes -= callback.bytes }
        return party
    }

    /// A task has ended its wait by itself.
    func taskGaveUp() {
        gaveUp += 1
        guard gaveUp * 2 >= count else { return }
        gaveUp = 0
        sent = SendLine.swept(&sent, capacity: 2)
        room = SendLine.swept(&room, capacity: 1)
    }

    private static func swept(
        _ places: inout RingBuffer<Place>, capacity: Int
    ) -> RingBuffer<Place> {
        var kept = RingBuffer<Place>(capacity: capacity)
        while let place = places.popFirst() {
            if !place.party.isGone { kept.append(place) }
        }
        return kept
    }
}
