/// What a supervisor tells a worker of itself, in one variable of its environment. See
/// `docs/processes.md` for the form.
struct WorkerEnvironment: Equatable {
    enum Listen: Equatable {
        /// The port as it was asked for: 0 for any.
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    static let variable = "UPDRAFT_WORKER"
    /// The descriptor that tells each of the other's end; the listeners follow, those of one
    /// address side by side, one for each loop.
    static let controlDescriptor: Int32 = 3
    static let firstListener: Int32 = 4

    let taskID: Int
    let workers: Int
    let loops: Int
    let supervisor: Int32
    let listens: [Listen]

    /// As in `task=2 workers=4 loops=1 supervisor=4711 listen=7000@127.0.0.1,0@::1,unix@/a%20b`.
    var text: String {
        var fields = [
            "task=\(taskID)", "workers=\(workers)", "loops=\(loops)", "supervisor=\(supervisor)",
        ]
        if !listens.isEmpty {
            fields.append("listen=" + listens.map(\.text).joined(separator: ","))
        }
        return fields.joined(separator: " ")
    }

    /// The descriptors of an address, for the loops.
    func descriptors(of index: Int) -> [Int32] {
        (0..<loops).map { WorkerEnvironment.firstListener + Int32(index * loops + $0) }
    }
}

extension WorkerEnvironment {
    /// Reads what `text` wrote; nil for anything else.
    init?(_ text: String) {
        var values: [Substring: Substring] = [:]
        for field in text.split(separator: " ") {
            let parts = field.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, values.updateValue(parts[1], forKey: parts[0]) == nil else {
                return nil
            }
        }
        func number(_ name: Substring, _ range: ClosedRange<Int>) -> Int? {
            values[name].flatMap { Int($0) }.flatMap { range.contains($0) ? $0 : nil }
        }
        guard let workers = number("workers", 1...Prefork.processesMax),
            let taskID = number("task", 0...workers - 1),
            let loops = number("loops", 1...Prefork.processesMax),
            let supervisor = number("supervisor", 1...Int(Int32.max))
        else { return nil }
        var listens: [Listen] = []
        for item in values["listen", default: ""].split(separator: ",") {
            guard let listen = Listen(item) else { return nil }
            listens.append(listen)
        }
        self.init(
            taskID: taskID, workers: workers, loops: loops, supervisor: Int32(supervisor),
            listens: listens)
    }
}

extension WorkerEnvironment.Listen {
    private static let unixMark = "unix"

    fileprivate var text: String {
        switch self {
        case .tcp(let host, let port): "\(port)@\(host)"
        case .unix(let path): "\(Self.unixMark)@\(percentEncoded(path))"
        }
    }

    /// Reads what `text` wrote; nil for anything else.
    fileprivate init?(_ text: Substring) {
        let parts = text.split(separator: "@", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        if parts[0] == Self.unixMark {
            guard let path = percentDecoded(parts[1]) else { return nil }
            self = .unix(path: path)
        } else {
            guard let port = UInt16(parts[0]) else { return nil }
            self = .tcp(host: String(parts[1]), port: Int(port))
        }
    }
}

/// Writes what separates fields and items, and all that is no ASCII, as %XX.
private func percentEncoded(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
        if 0x21...0x7E ~= byte, byte != UInt8(ascii: "%"), byte != UInt8(ascii: ",") {
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        } else {
            encoded += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
        }
    }
    return encoded
}

private func percentDecoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            bytes.append(byte)
            continue
        }
        let digits = rest.prefix(2).compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == 2 else { return nil }
        bytes.append(UInt8(digits[0] * 16 + digits[1]))
        rest = rest.dropFirst(2)
    }
    return String(decoding: bytes, as: UTF8.self)
}
