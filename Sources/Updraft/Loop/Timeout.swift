/// A handle on a timeout, for `IOLoop.removeTimeout`.
///
/// It stays valid for ever: once the timeout has run or was removed, using the handle again does
/// nothing, also when the loop has since reused its place for another timeout.
public struct Timeout: Hashable, Sendable {
    /// On the loop's clock.
    let deadline: Int64
    /// How many timeouts the loop had been given with this one; no two have the same.
    let sequence: UInt64
    /// Where the loop keeps what is to run.
    let slot: UInt32

    /// Contract row B11: by deadline, and by insertion among equals.
    @inline(__always)
    func precedes(_ other: Timeout) -> Bool {
        deadline < other.deadline || (deadline == other.deadline && sequence < other.sequence)
    }
}
