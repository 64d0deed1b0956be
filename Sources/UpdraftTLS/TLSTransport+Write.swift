// Unsafe: memory for what comes from the peer is used within one call.

internal import Updraft

extension TLSTransport {
    /// Ciphertext that is gathered before it is sent.
    private static let sendChunk = 65_536

    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        guard try isSettled() else { return 0 }
        var accepted = claim(atMost: bytes.count)
        if encryptedAhead > 0 { return accepted }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[accepted...])
        if try encrypt(rest, &accepted), try isSettled() { accepted += claim() }
        return accepted
    }

    func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
        guard try isSettled() else { return 0 }
        var accepted = claim(atMost: pieces.reduce(0) { $0 + $1.count })
        if encryptedAhead > 0 { return accepted }
        var ahead = accepted
        for piece in pieces {
            let skipped = min(ahead, piece.count)
            ahead -= skipped
            let rest = UnsafeRawBufferPointer(rebasing: piece[skipped...])
            guard try encrypt(rest, &accepted) else { return accepted }
        }
        if try isSettled() { accepted += claim() }
        return accepted
    }

    /// Sends what is encrypted. Whether all of it has left.
    private func isSettled() throws -> Bool {
        switch phase {
        case .open: break
        case .failed(let error): throw error
        case .handshaking, .lingering, .closed: return false
        }
        try sendOutput()
        return !engine.hasOutput
    }

    /// Plain bytes whose ciphertext has left, to be told to the stream. Not more than it offers: a
    /// file that is being sent may have become shorter.
    private func claim(atMost limit: Int = .max) -> Int {
        let count = min(encryptedAhead, limit)
        encryptedAhead -= count
        return count
    }

    /// - Returns: False if what is encrypted has to wait.
    private func encrypt(_ bytes: UnsafeRawBufferPointer, _ accepted: inout Int) throws -> Bool {
        var rest = bytes
        while !rest.isEmpty {
            let (step, count) = engine.write(rest)
            encryptedAhead += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            switch step {
            case .failed(let error): throw engineFailed(error)
            case .ended: throw fail(TLSTransport.truncated)
            case .wantsInput:
                guard try feed() else { return false }
                continue
            case .done, .wantsRoom: break
            }
            let isFull = engine.outputCount >= TLSTransport.sendChunk
            if case .done = step, !isFull { continue }
            guard try isSettled() else { return false }
            accepted += claim()
        }
        return true
    }

    /// Half of a message of TLS itself has come: nothing can be encrypted before the rest, and
    /// maybe nobody reads.
    ///
    /// - Returns: Whether more has come.
    func feed() throws -> Bool {
        try withUnsafeTemporaryAllocation(byteCount: TLSTransport.readChunk, alignment: 16) {
            switch try readBase(into: $0, 0) {
            case .bytes(let count):
                writeNeedsInput = false
                engine.keep(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                // What is behind the message is the stream's to read; its event was used up here.
                tellLater(.read)
                return true
            case .wouldBlock:
                watch?.drained(.read)
                writeNeedsInput = true
                return false
            case .endOfStream:
                throw fail(baseFailure ?? TLSTransport.truncated)
            }
        }
    }

    /// Gives the base what it takes.
    func sendOutput() throws {
        while engine.hasOutput {
            var isDrained = false
            do {
                try engine.withOutput { bytes in
                    let sent = try base.write(bytes)
                    isDrained = sent < bytes.count
                    return sent
                }
            } catch {
                baseFailure = error
                throw error
            }
            if isDrained {
                watch?.drained(.write)
                return
            }
        }
    }
}
