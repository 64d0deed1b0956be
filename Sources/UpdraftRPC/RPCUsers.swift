/// Peers by the names that the application has given them: a server's `users`.
///
/// Used like a dictionary. A name leaves the table when its peer's connection is closed, unless
/// the name stands for another peer by then. Naming is the application's decision, after its own
/// authentication; no peer can name itself.
///
/// ```swift
/// rpc.register("login") { (peer: RPCPeer, uid: String) in
///     rpc.users[uid]?.close()
///     rpc.users[uid] = peer
/// }
/// ```
public struct RPCUsers {
    private var peers: [String: RPCPeer] = [:]

    init() {}

    /// The peer of that name. A peer that is closed already is not entered.
    public subscript(name: String) -> RPCPeer? {
        get { peers[name] }
        set {
            if let old = peers.removeValue(forKey: name) { old.userNames.remove(name) }
            guard let newValue, !newValue.isClosed else { return }
            peers[name] = newValue
            newValue.userNames.insert(name)
        }
    }

    /// Names in the table.
    public var count: Int { peers.count }

    /// Whether there is no name in the table.
    public var isEmpty: Bool { peers.isEmpty }

    /// The names, in no order.
    public var names: some Collection<String> { peers.keys }

    /// Forgets the names of a peer that is gone.
    mutating func remove(_ peer: RPCPeer) {
        for name in peer.userNames { peers[name] = nil }
        peer.userNames = []
    }
}

extension RPCUsers: Sequence {
    /// The names and their peers, in no order.
    public func makeIterator() -> some IteratorProtocol<(key: String, value: RPCPeer)> {
        peers.makeIterator()
    }
}
