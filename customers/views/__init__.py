"""The pages on which customers look after their own data. GET shows, POST acts."""
