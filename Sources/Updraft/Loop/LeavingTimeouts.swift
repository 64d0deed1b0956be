/// Timeouts that were taken back while what they run is being fetched: the last few, in their
/// order.
struct LeavingTimeouts {
    static let countMax = 16

    private var places = ContiguousArray<Timeout>()
    private var next = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// - Returns: The one that was added `countMax` before, to be removed.
    @inline(__always)
    mutating func append(_ timeout: Timeout) -> Timeout? {
        if places.isEmpty { places = ContiguousArray(repeating: timeout, count: Self.countMax) }
        var place = timeout
        swap(&places[next], &place)
        next = (next + 1) % Self.countMax
        guard count < Self.countMax else { return place }
        count += 1
        return nil
    }

    mutating func popFirst() -> Timeout? {
        guard count > 0 else { return nil }
        let first = places[(next + Self.countMax - count) % Self.countMax]
        count -= 1
        return first
    }
}
