import Updraft

@main struct Echo {
    static func main() throws {
        try IOLoop.run { loop in
            try await TCPServer(port: 7000).serve { stream in
                for try await chunk in stream.chunks { try await stream.write(chunk) }
            }
        }
    }
}
