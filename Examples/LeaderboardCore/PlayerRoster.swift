/// Who is online: one connection per uid, one uid per connection.
final class PlayerRoster {
    private var connections: [String: any PlayerConnection] = [:]
    private var names: [ObjectIdentifier: String] = [:]

    var count: Int { connections.count }
    var uids: Dictionary<String, any PlayerConnection>.Keys { connections.keys }

    func connection(of uid: String) -> (any PlayerConnection)? { connections[uid] }

    func uid(of connection: any PlayerConnection) -> String? {
        names[ObjectIdentifier(connection)]
    }

    /// Names a connection, which loses the name that it had.
    ///
    /// - Returns: The other connection that had the name.
    func name(_ connection: any PlayerConnection, _ uid: String) -> (any PlayerConnection)? {
        let previous = connections[uid]
        if previous === connection { return nil }
        remove(connection)
        if let previous { remove(previous) }
        connections[uid] = connection
        names[ObjectIdentifier(connection)] = uid
        return previous
    }

    func remove(_ connection: any PlayerConnection) {
        guard let uid = names.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        connections[uid] = nil
    }
}
