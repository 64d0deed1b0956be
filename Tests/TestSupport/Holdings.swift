package import Updraft

/// What a loop and its process hold on to: as much after a fault as before it.
package struct Holdings: Sendable {
    /// Sockets, pipes and files.
    package let descriptors: Int
    package let streams: Int
    package let tasks: Int
    package let timeouts: Int
    package let bufferedBytes: Int

    package init(of loop: IOLoop) {
        let metrics = loop.metrics
        descriptors = openChannels()
        streams = metrics.streamsOpen
        tasks = metrics.tasks
        timeouts = metrics.timeoutsPending
        bufferedBytes = metrics.bufferedBytes
    }

    /// Whether this is no more than the other. Fewer descriptors are well: what ran before in this
    /// process may have freed one meanwhile.
    package static func <= (left: Holdings, right: Holdings) -> Bool {
        left.descriptors <= right.descriptors && left.streams == right.streams
            && left.tasks == right.tasks && left.timeouts == right.timeouts
            && left.bufferedBytes == right.bufferedBytes
    }

    /// Lets the loop go on until it holds no more than this again; for a while at the most, so that
    /// what is left shows in an expectation.
    package nonisolated(nonsending) func settled(on loop: IOLoop) async throws -> Holdings {
        let end = ContinuousClock.now.advanced(by: .seconds(5))
        while true {
            let now = Holdings(of: loop)
            if now <= self || ContinuousClock.now > end { return now }
            for _ in 0..<5 { try await loop.nextTurn() }
        }
    }
}

/// How often each of several waits was answered, and with what.
package final class Answers {
    private var all: [String: [String]] = [:]
    private var asked: [String] = []

    package init() {}

    /// Starts a wait as a task of the loop. Its answer is the error's kind, or "value".
    @discardableResult
    package func ask(
        _ name: String, on loop: IOLoop,
        _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) -> Task<Void, Never> {
        asked.append(name)
        return loop.spawn { [self] in
            let answer: String
            do {
                try await body()
                answer = "value"
            } catch let error as StreamError {
                answer = "\(error.code)"
            } catch {
                answer = "\(type(of: error))"
            }
            all[name, default: []].append(answer)
        }
    }

    /// Whether every wait has been answered.
    package var isComplete: Bool { all.count == asked.count }

    /// The answer of each wait that was answered once; the others say how often they were.
    package var texts: [String: String] {
        Dictionary(
            uniqueKeysWithValues: asked.map { name in
                let answers = all[name] ?? []
                return (name, answers.count == 1 ? answers[0] : "\(answers.count) answers")
            })
    }
}
