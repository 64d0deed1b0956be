import Updraft
import UpdraftTLS

/// `tls-client HOST PORT CA-FILE TEXT`: connects with TLS, trusts the file alone, sends the text
/// and a newline, and prints what was agreed and what comes back until the end. For tests against
/// other implementations' servers.
@main
struct TLSClient {
    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 5, let port = Int(arguments[2]) else {
            return StandardOutput.complain("usage: tls-client HOST PORT CA-FILE TEXT")
        }
        try IOLoop.run { _ in
            do {
                let tls = try TLSClientContext(trust: .certificates(.file(arguments[3])))
                let stream = try await TCPClient.connect(host: arguments[1], port: port, tls: tls)
                let info = stream.tls
                StandardOutput.announce(
                    "\(info?.version.description ?? "") \(info?.cipherSuite ?? "") "
                        + "\(info?.peerCertificate?.subject ?? "")")
                try await stream.write(arguments[4] + "\n")
                stream.endWriting()
                for try await line in stream.lines {
                    StandardOutput.announce(String(decoding: line, as: UTF8.self))
                }
                stream.close()
                StandardOutput.announce("end")
            } catch {
                StandardOutput.announce("error: \(error)")
            }
        }
    }
}
