/// A handle on a timeout, for `IOLoop.removeTimeout`.
///
/// It stays valid for ever: once the timeout has run or was removed, using the handle again does
/// nothing, also when the loop has since reused its place for another timeout.
public struct Timeout: Hashable, Sendable {
    let slot: UInt32
    let generation: UInt32
}
