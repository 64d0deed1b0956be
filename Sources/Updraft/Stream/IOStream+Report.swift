extension IOStream {
    var heldBytes: Int { readBuffer.count + writeQueue.count - writeQueue.fileCount }

    var report: SinkReport {
        var text = "stream"
        if let peerAddress { text += " to \(peerAddress)" }
        switch phase {
        case .open: break
        case .closing: text += ", closing"
        case .lingering: text += ", closed, waits for the peer to close"
        case .closed: text += ", closed"
        }
        if isReading {
            text += ", reading"
        } else if consumer != nil {
            text += isConsumerPaused ? ", consumer paused" : ", feeding a consumer"
        }
        if input == .ended { text += ", the peer has ended" }
        if !writeQueue.isEmpty { text += ", \(unsentBytes) bytes unsent" }
        let callbacks = sendLine?.callbackCount ?? 0
        if callbacks > 0 { text += ", sending callbacks outstanding: \(callbacks)" }
        return SinkReport(text: text, waiters: [readWaiter] + (sendLine?.tasks ?? []))
    }
}
