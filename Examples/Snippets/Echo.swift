import Updraft

@main struct Echo {
    static func main() {
        IOLoop.main { loop in
            try await TCPServer(port: 7000).serve(until: .terminationSignals) { stream in
                for try await chunk in stream.chunks { try await stream.write(chunk) }
            }
        }
    }
}
